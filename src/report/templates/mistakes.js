// What the mistakes of classes and of labels share: the model switch, the cell that is pressed, and the pictures.
//   part: beside the label, what a cell is of, by its data attribute
//   cell(chosen, m): the pictures of the cell's mistakes by model m, the surest first, and what these are in words
//   card(picture, m): the name of the row, and the lines below its picture
report.mistakes = ({ part, cell: ofCell, card }) => {
  const mistakes = report.read("mistakes");
  if (!mistakes) return;
  const { album } = report, find = (id) => document.getElementById(`mistakes-${id}`);
  const select = find("model"), list = find("pictures"), all = find("all");
  let chosen = null;  // {label, [part]} of the pressed cell, as its data attributes have them

  const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

  function show() {
    const model = select.value, m = album.models.indexOf(model), of = mistakes.models[model];
    for (const one of document.querySelectorAll("#mistakes .of-model")) one.hidden = one.dataset.model !== model;
    const cells = [...document.querySelectorAll("#mistakes .of-model:not([hidden]) .cell")];
    const same = ({ dataset }) => chosen && dataset.label === chosen.label && dataset[part] === chosen[part];
    for (const one of cells) one.setAttribute("aria-pressed", String(Boolean(same(one))));
    let pictures = of.surest, said = `${counted(of.wrong, "mistake")} of ${model}, all of them shown.`;
    if (chosen) {
      const { names, what } = ofCell(mistakes.pictures, chosen, m);
      pictures = names;
      const count = +(cells.find(same)?.dataset.count ?? names.length);
      said = `${what} by ${model}: ${counted(count, "row")}` +
        (names.length < count ? `, of which ${names.length} are shown.` : ".");
    } else if (pictures.length < of.wrong) {
      said = `The ${pictures.length} mistakes of the highest probability, of ${counted(of.wrong, "mistake")} of ${model}.`;
    }
    if (!of.wrong) said = `${model} makes no mistake.`;
    find("said").textContent = said;
    all.hidden = !chosen;
    list.replaceChildren(...pictures.map((picture) => album.card(...card(picture, m))));
  }

  select.addEventListener("change", show);
  all.addEventListener("click", () => { chosen = null; show(); });
  document.getElementById("mistakes").addEventListener("click", (event) => {
    const pressed = event.target.closest(".cell");
    if (!pressed) return;
    const { label, [part]: other } = pressed.dataset;
    chosen = chosen?.label === label && chosen[part] === other ? null : { label, [part]: other };
    show();
  });
  show();
};
