// The map: its colours, and the picture of the dot that is pointed at.
const map = report.read("data")?.map;
if (map) {
  const { album } = report, plot = document.getElementById("chart-data-map");
  const colour = document.getElementById("map-colour"), model = document.getElementById("map-model");
  const spec = report.specs["data-map"], values = Object.values(spec.datasets)[0], order = [...values];
  const grey = "#8a8f98", near = 14;
  let view = null;

  report.drawn = (name) => {
    const i = map.rows.indexOf(name);
    return i < 0 ? null : ofSheet(i, 3);
  };

  function ofSheet(i, scale) {
    const side = map.side * scale, column = i % map.columns, line = Math.floor(i / map.columns);
    const made = album.element("span", undefined, { className: "of-sheet" });
    Object.assign(made.style, {
      width: `${side}px`, height: `${side}px`, backgroundImage: `url("${map.sheet}")`,
      backgroundSize: `${side * map.columns}px auto`, backgroundPosition: `${-column * side}px ${-line * side}px`,
    });
    return made;
  }

  // The groups of the rows by what the colours are of: {names, colours, of}, -1 for a row of none.
  const groups = () => { const found = map.colourings[colour.value]; return found.by ? found.by[model.value] : found; };

  function recolour() {
    const { names, colours, of } = groups(), rest = colour.value === "prediction" ? "(no prediction)" : "(test)";
    for (const value of values) value.shown = names[of[value.row]] ?? rest;
    // what is drawn last lies on top: mistakes, which are few and the last of their groups
    const last = (value) => colour.value === "error" ? of[value.row] : 0;
    values.sort((a, b) => last(a) - last(b) || a.row - b.row);
    const seen = new Set(values.map((value) => value.shown)), domain = [...names, rest], range = [...colours, grey];
    const kept = domain.map((_, i) => i).filter((i) => seen.has(domain[i]));
    spec.encoding.color.scale = { domain: kept.map((i) => domain[i]), range: kept.map((i) => range[i]) };
    if (model) model.disabled = !["prediction", "error"].includes(colour.value);
    if (view) report.draw(plot);
  }

  const tip = album.element("div", undefined, { id: "map-tip", hidden: true });
  document.body.append(tip);

  function at(event) {
    const box = plot.querySelector("canvas").getBoundingClientRect(), [left, top] = view.origin(), pad = view.padding();
    const x = event.clientX - box.left - left - pad.left, y = event.clientY - box.top - top - pad.top;
    const toX = view.scale("x"), toY = view.scale("y");
    let best = null, least = near;
    for (const value of order) {
      const away = Math.hypot(toX(value.x) - x, toY(value.y) - y);
      if (away < least) [best, least] = [value.row, away];
    }
    return best;
  }

  function point(event) {
    const i = at(event);
    tip.hidden = i === null;
    if (i === null) return;
    const name = map.rows[i], row = album.rows[name], m = album.models.indexOf(model?.value), said = row.said[m] ?? null;
    const sure = album.kind === "class" && said !== null ? ` ${album.probability(album.chance(name, m, said))}` : "";
    const lines = [`${row.part} ${row.id}`, row.label === undefined ? "" : `${album.what} ${album.told(row.label)}`,
      said === null ? "" : `${model.value}: ${album.kind === "number" ? album.brief(said) : album.told(said)}${sure}`];
    tip.dataset.row = name;
    tip.replaceChildren(row.tile ? album.picture(name) : ofSheet(i, 2),
      ...lines.filter(Boolean).map((text) => album.element("span", text)));
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, room))}px`;
    const below = event.clientY + 14, high = innerHeight - tip.offsetHeight - 8;
    tip.style.top = `${below < high ? below : Math.max(8, event.clientY - tip.offsetHeight - 14)}px`;
  }

  const hovers = matchMedia("(hover: hover)");
  let pressed = null;
  const opens = () => { tip.hidden = true; report.show(album.opened(tip.dataset.row)); };
  tip.addEventListener("click", opens);  // a finger taps the dot, and then the picture
  plot.addEventListener("drawn", (event) => { view = event.detail; });
  plot.addEventListener("pointerdown", (event) => { pressed = event; });
  plot.addEventListener("pointermove", (event) => { if (view && !event.buttons) point(event); });
  plot.addEventListener("click", (event) => {
    if (!view || (pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > 4)) return;
    point(event);
    if (!tip.hidden && hovers.matches) opens();
  });
  plot.addEventListener("pointerleave", () => { if (hovers.matches) tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  colour.addEventListener("change", recolour);
  model?.addEventListener("change", recolour);
}
