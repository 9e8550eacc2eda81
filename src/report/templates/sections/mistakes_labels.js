// The model switch, and the mistakes of a label: a mistake is a row and a label.
const mistakes = report.read("mistakes");
if (mistakes) {
  const { album } = report, find = (id) => document.getElementById(`mistakes-${id}`);
  const select = find("model"), list = find("pictures"), all = find("all");
  let chosen = null;  // {label, what, count} of the table's cell

  const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

  function line(name, m, c) {
    const row = album.rows[name], given = row.said[m].includes(c), others = row.said.filter((said, i) => i !== m && said !== null);
    const lines = [album.element("b", row.id),
      `${given ? "+" : "−"} ${album.classes[c]} ${album.probability(album.chance(name, m, c))}`];
    if (others.length) {
      const agree = others.filter((said) => said.includes(c) === given).length;
      lines.push(album.element("small", `${agree} of ${others.length} others agree`));
    }
    return lines;
  }

  function show() {
    const model = select.value, m = album.models.indexOf(model), of = mistakes.models[model];
    for (const part of document.querySelectorAll("#mistakes .of-model")) part.hidden = part.dataset.model !== model;
    const cells = [...document.querySelectorAll("#mistakes .of-model:not([hidden]) .cell")];
    const same = (cell) => chosen && +cell.dataset.label === chosen.label && cell.dataset.what === chosen.what;
    for (const cell of cells) cell.setAttribute("aria-pressed", String(Boolean(same(cell))));
    let shown = of.surest, said = `${counted(of.wrong, "mistake")} of ${model}, all of them shown.`;
    if (chosen) {
      const { label, what } = chosen, p = (name) => album.chance(name, m, label);
      const names = mistakes.pictures.filter((name) => {
        const row = album.rows[name], has = row.label.includes(label), given = row.said[m].includes(label);
        return what === "missed" ? has && !given : given && !has;
      });
      names.sort((a, b) => (what === "missed" ? p(a) - p(b) : p(b) - p(a)));
      shown = names.map((name) => [name, label]);
      const count = +(cells.find(same)?.dataset.count ?? names.length);
      said = `${album.classes[label]} ${what === "missed" ? "missed" : "given and false"} by ${model}: ${counted(count, "row")}` +
        (names.length < count ? `, of which ${names.length} are shown.` : ".");
    } else if (shown.length < of.wrong) {
      said = `The ${shown.length} mistakes of the highest probability, of ${counted(of.wrong, "mistake")} of ${model}.`;
    }
    if (!of.wrong) said = `${model} makes no mistake.`;
    find("said").textContent = said;
    all.hidden = !chosen;
    list.replaceChildren(...shown.map(([name, c]) => album.card(name, line(name, m, c))));
  }

  select.addEventListener("change", show);
  all.addEventListener("click", () => { chosen = null; show(); });
  document.getElementById("mistakes").addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    const label = +cell.dataset.label, { what } = cell.dataset;
    chosen = chosen?.label === label && chosen.what === what ? null : { label, what };
    show();
  });
  show();
}
