// The mistakes of a cell, a label and another prediction; and counts or shares in the cells.
const { album } = report;

report.mistakes({
  part: "prediction",

  cell(pictures, chosen, m) {
    const label = +chosen.label, prediction = +chosen.prediction, p = (name) => album.chance(name, m, prediction);
    const names = pictures.filter((name) => album.rows[name].label === label && album.rows[name].said[m] === prediction);
    return { names: names.sort((a, b) => p(b) - p(a)), what: `${album.classes[label]} predicted as ${album.classes[prediction]}` };
  },

  card(name, m) {
    const row = album.rows[name], label = row.said[m], [agree, others] = album.agreeing(name, m, label);
    const lines = [album.element("b", row.id),
      `${album.classes[row.label]} → ${album.classes[label]} ${album.probability(album.chance(name, m, label))}`];
    if (others) {
      const told = album.element("small", `${agree.length} of ${others} others agree`);
      told.title = agree.join(", ");
      lines.push(told);
    }
    return [name, lines];
  },
});

const find = (id) => document.getElementById(`mistakes-${id}`);
for (const what of ["counts", "shares"]) {
  find(what)?.addEventListener("click", () => {
    find("matrix").dataset.show = what;
    for (const each of ["counts", "shares"]) find(each).setAttribute("aria-pressed", String(each === what));
  });
}
