// The pictures of all sections: report.album.card(name, lines) is a card that opens in the viewer. See src/report/album.py.
const album = report.read("album") ?? { kind: "class", what: "label", rows: {}, tiles: {}, models: [], classes: [], columns: [] };

function element(tag, text, more = {}) {
  const made = Object.assign(document.createElement(tag), more);
  if (text !== undefined) made.textContent = text;
  return made;
}

// What a row is, or a model says of it, as text: a class, labels, or a number.
const told = {
  class: (value) => album.classes[value],
  labels: (value) => value.map((c) => album.classes[c]).join(", ") || "(no label)",
  number: (value) => String(value),
}[album.kind];

// Of thousandths: 1 and 0 are what they are only where no digit is cut off.
const probability = (p) => (p >= 1000 ? "> 0.999" : p <= 0 ? "< 0.001" : (p / 1000).toFixed(3));

// What a model says of a row: [[class, thousandths]], the largest first, of as many classes as are there.
function chances(name, model) {
  const p = album.rows[name].p[model];
  if (!p) return [];
  const pairs = album.each ? p.map((value, c) => [c, value])
    : p.flatMap((value, i) => (i % 2 ? [] : [[value, p[i + 1]]]));
  return pairs.sort((a, b) => b[1] - a[1]);
}

function chance(name, model, c) {
  return chances(name, model).find(([other]) => other === c)?.[1] ?? 0;
}

// The models but the one, by whether they give a row this label: [those that do, all that say anything].
function agreeing(name, model, c) {
  const said = album.rows[name].said.map((label, i) => [label, album.models[i]]);
  const others = said.filter(([label], i) => i !== model && label !== null);
  return [others.filter(([label]) => label === c).map(([, other]) => other), others.length];
}

function picture(name) {
  const row = album.rows[name];
  const alt = `${row.part} ${row.id}${row.label === undefined ? "" : `, ${told(row.label)}`}`;
  if (row.tile) {
    const image = element("img", undefined, { src: album.tiles[row.tile], alt });
    image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth <= 40));
    return image;
  }
  const drawn = report.drawn?.(name);  // from the map's sheet
  if (drawn && !row.why) return drawn;
  const grey = element("span", `${row.id}\n${row.why ?? ""}`, { className: "gone" });
  grey.setAttribute("role", "img");
  grey.setAttribute("aria-label", `${alt}: ${row.why ?? "no picture"}`);
  return grey;
}

function card(name, lines) {
  const button = element("button", undefined, { type: "button", className: "card" });
  button.dataset.row = name;
  button.append(picture(name), ...lines.map((line) => (line instanceof Node ? line : element("span", line))));
  button.addEventListener("click", () => report.show(opened(name)));
  const item = element("li");
  item.append(button);
  return item;
}

// Everything known of a row: its picture, its columns, and what each model says.
function opened(name) {
  const row = album.rows[name], whole = element("div", undefined, { className: "opened" });
  whole.append(element("h3", `${row.part} ${row.id}`), picture(name));
  const facts = [[album.what, row.label === undefined ? undefined : told(row.label)], ["fold", row.fold ?? undefined],
    ["size", row.size && `${row.size[0]} × ${row.size[1]} pixels`],
    ...album.columns.map((column, i) => [column, row.cells[i]])];
  const list = element("dl");
  for (const [key, value] of facts.filter(([, value]) => value !== undefined && value !== "")) {
    list.append(element("dt", key), element("dd", value));
  }
  whole.append(list);
  if (row.said.some((label) => label !== null)) whole.append(said(name));
  return whole;
}

// The line of a model of one class, of labels, or of a number: [head, cells(name, m)].
const lines = {
  class: {
    head: (row) => album.each ? album.classes : ["prediction", "next", "", ...(row.label === undefined ? [] : ["label"])],
    cells(name, m) {
      const row = album.rows[name], best = row.said[m];
      if (album.each) return album.classes.map((_, c) => cell(row, best, c, probability(chance(name, m, c))));
      const tops = chances(name, m).filter(([c]) => c !== row.label || c === best).slice(0, 3);
      const cells = tops.map(([c, p]) => cell(row, best, c, `${album.classes[c]} ${probability(p)}`));
      return row.label === undefined ? cells : [...cells, element("td", probability(chance(name, m, row.label)))];
    },
  },
  labels: {
    head: (row) => album.each ? album.classes : row.label === undefined ? ["given", "next"] : ["given", "missed", "next"],
    cells(name, m) {
      const row = album.rows[name], given = row.said[m], has = row.label;
      const state = (c) => !given.includes(c) ? (has?.includes(c) ? "bad" : "") : has === undefined ? "given" : has.includes(c) ? "given good" : "given bad";
      if (album.each) return album.classes.map((_, c) => element("td", probability(chance(name, m, c)), { className: state(c) }));
      const kinds = [(c) => given.includes(c), (c) => has?.includes(c) && !given.includes(c)];
      const next = (c) => !kinds.some((kind) => kind(c));
      return (has === undefined ? [kinds[0], next] : [...kinds, next]).map((kind) => {
        const box = element("td", undefined, { className: "left wrap" });
        for (const [c, p] of chances(name, m).filter(([c]) => kind(c))) {
          box.append(element("span", `${album.classes[c]} ${probability(p)}`, { className: state(c) }), document.createElement("br"));
        }
        return box;
      });
    },
  },
  number: {
    head: (row) => row.label === undefined ? ["prediction"] : ["prediction", "off by"],
    cells(name, m) {
      const { said, label } = album.rows[name], cells = [element("td", brief(said[m]))];
      return label === undefined ? cells : [...cells, element("td", off(said[m], label))];
    },
  },
}[album.kind];

const brief = (value) => String(Number(value.toPrecision(4)));

// `+1.25`: how far a number is from the true one.
const off = (said, true_) => `${said < true_ ? "−" : "+"}${brief(Math.abs(said - true_))}`;

function said(name) {
  const row = album.rows[name], table = element("table"), box = element("div", undefined, { className: "scroll" });
  const head = ["model", ...lines.head(row)];
  const first = element("tr");
  first.append(...head.map((text) => element("th", text)));
  table.append(element("thead"), element("tbody"));
  table.tHead.append(first);
  album.models.forEach((model, m) => {
    const line = element("tr");
    line.append(element("th", model));
    if (row.said[m] === null) line.append(element("td", "nothing of this row", { colSpan: head.length - 1 }));
    else line.append(...lines.cells(name, m));
    table.tBodies[0].append(line);
  });
  box.append(table);
  return box;
}

function cell(row, best, c, text) {
  const colour = c !== best ? "" : row.label === undefined ? "given" : c === row.label ? "given good" : "given bad";
  return element("td", text, { className: colour });
}

report.album = { ...album, element, probability, told, brief, off, chance, agreeing, picture, card, opened };

// Lists that a section has as JSON, <ul class="pictures" data-of="section" data-list="name">: an entry is [name, line, ...],
// or {cards: [such entries], said} where several pictures belong together.
const read = new Map();
for (const list of document.querySelectorAll("ul[data-list]")) {
  const of = list.dataset.of;
  if (!read.has(of)) read.set(of, report.read(of).lists);
  list.append(...read.get(of)[list.dataset.list].map((entry) => {
    if (Array.isArray(entry)) return card(entry[0], entry.slice(1));
    const item = element("li"), together = element("div", undefined, { className: "together" });
    together.append(...entry.cards.map(([name, ...lines]) => card(name, lines).firstChild));
    item.append(together, element("small", entry.said));
    return item;
  }));
}
