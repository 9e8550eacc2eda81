// The mistakes of a label: a mistake is a row and a label.
const { album } = report;

report.mistakes({
  part: "what",

  cell(pictures, chosen, m) {
    const label = +chosen.label, missed = chosen.what === "missed", p = (name) => album.chance(name, m, label);
    const names = pictures.filter((name) => {
      const row = album.rows[name], has = row.label.includes(label), given = row.said[m].includes(label);
      return missed ? has && !given : given && !has;
    });
    names.sort((a, b) => (missed ? p(a) - p(b) : p(b) - p(a)));
    return { names: names.map((name) => [name, label]), what: `${album.classes[label]} ${missed ? "missed" : "given and false"}` };
  },

  card([name, c], m) {
    const row = album.rows[name], given = row.said[m].includes(c), others = row.said.filter((said, i) => i !== m && said !== null);
    const lines = [album.element("b", row.id),
      `${given ? "+" : "−"} ${album.classes[c]} ${album.probability(album.chance(name, m, c))}`];
    if (others.length) {
      const agree = others.filter((said) => said.includes(c) === given).length;
      lines.push(album.element("small", `${agree} of ${others.length} others agree`));
    }
    return [name, lines];
  },
});
