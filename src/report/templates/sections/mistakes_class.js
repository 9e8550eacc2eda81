// The model switch, counts or shares, and the mistakes of a cell.
const mistakes = report.read("mistakes");
if (mistakes) {
  const { album } = report, find = (id) => document.getElementById(`mistakes-${id}`);
  const select = find("model"), list = find("pictures"), all = find("all");
  let chosen = null;  // {label, prediction, count} of the cell

  const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

  function line(name, m) {
    const row = album.rows[name], label = row.said[m], [agree, others] = album.agreeing(name, m, label);
    const lines = [album.element("b", row.id),
      `${album.classes[row.label]} → ${album.classes[label]} ${album.probability(album.chance(name, m, label))}`];
    if (others) {
      const told = album.element("small", `${agree.length} of ${others} others agree`);
      told.title = agree.join(", ");
      lines.push(told);
    }
    return lines;
  }

  function show() {
    const model = select.value, m = album.models.indexOf(model), of = mistakes.models[model];
    for (const part of document.querySelectorAll("#mistakes .of-model")) part.hidden = part.dataset.model !== model;
    const cells = [...document.querySelectorAll("#mistakes .of-model:not([hidden]) .cell")];
    const same = (cell) => chosen && +cell.dataset.label === chosen.label && +cell.dataset.prediction === chosen.prediction;
    for (const cell of cells) cell.setAttribute("aria-pressed", String(Boolean(same(cell))));
    let names = of.surest, said = `${counted(of.wrong, "mistake")} of ${model}, all of them shown.`;
    if (chosen) {
      const { label, prediction } = chosen, p = (name) => album.chance(name, m, prediction);
      names = mistakes.pictures.filter((name) => album.rows[name].label === label && album.rows[name].said[m] === prediction);
      names.sort((a, b) => p(b) - p(a));
      const count = +(cells.find(same)?.dataset.count ?? names.length);
      said = `${album.classes[label]} predicted as ${album.classes[prediction]} by ${model}: ${counted(count, "row")}` +
        (names.length < count ? `, of which ${names.length} are shown.` : ".");
    } else if (names.length < of.wrong) {
      said = `The ${names.length} mistakes of the highest probability, of ${counted(of.wrong, "mistake")} of ${model}.`;
    }
    if (!of.wrong) said = `${model} makes no mistake.`;
    find("said").textContent = said;
    all.hidden = !chosen;
    list.replaceChildren(...names.map((name) => album.card(name, line(name, m))));
  }

  select.addEventListener("change", show);
  all.addEventListener("click", () => { chosen = null; show(); });
  document.getElementById("mistakes").addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    const label = +cell.dataset.label, prediction = +cell.dataset.prediction;
    chosen = chosen?.label === label && chosen.prediction === prediction ? null : { label, prediction };
    show();
  });
  for (const what of ["counts", "shares"]) {
    find(what)?.addEventListener("click", () => {
      find("matrix").dataset.show = what;
      for (const each of ["counts", "shares"]) find(each).setAttribute("aria-pressed", String(each === what));
    });
  }
  show();
}
