// The model switch, and the pictures whose numbers it misses by most.
const mistakes = report.read("mistakes");
if (mistakes) {
  const { album } = report, select = document.getElementById("mistakes-model");

  function line(name, m) {
    const { id, label, said } = album.rows[name];
    return [album.element("b", id), `${album.told(label)} → ${album.brief(said[m])}`, album.element("small", album.off(said[m], label))];
  }

  function show() {
    const model = select.value, m = album.models.indexOf(model), names = mistakes.models[model];
    for (const part of document.querySelectorAll("#mistakes .of-model")) part.hidden = part.dataset.model !== model;
    document.getElementById("mistakes-said").textContent = `The ${names.length} rows that ${model} is furthest off.`;
    document.getElementById("mistakes-pictures").replaceChildren(...names.map((name) => album.card(name, line(name, m))));
  }

  select.addEventListener("change", show);
  show();
}
