// What all sections share: data, theme, charts that are drawn when they come into sight, and the viewer.
const root = document.documentElement;

const read = (name) => {
  const element = document.getElementById(`data-${name}`);
  return element ? JSON.parse(element.textContent) : null;
};
const specs = read("charts"), themes = read("themes"), views = new Map();

const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
const mode = () => chosen ?? (dark.matches ? "dark" : "light");

async function draw(plot) {
  const name = plot.dataset.chart, config = themes[mode()];
  views.get(name)?.finalize();
  const renderer = specs[name].usermeta?.renderer ?? "svg";
  const result = await vegaEmbed(plot, specs[name], { mode: "vega-lite", actions: false, renderer, config, tooltip: { theme: mode() } });
  views.set(name, result);
  plot.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: result.view }));
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    seen.unobserve(entry.target);
    draw(entry.target);
  }
}, { rootMargin: "400px" });
const plots = [...document.querySelectorAll(".plot")];

function themed() {
  root.dataset.theme = mode();
  for (const plot of plots) if (views.has(plot.dataset.chart)) draw(plot);
}
document.getElementById("theme").addEventListener("click", () => {
  chosen = mode() === "dark" ? "light" : "dark";
  themed();
});
dark.addEventListener("change", themed);
themed();
plots.forEach((plot) => seen.observe(plot));
addEventListener("beforeprint", () => plots.filter((plot) => !views.has(plot.dataset.chart)).forEach(draw));

// The viewer: report.show(element) puts an element's copy, or a new one, into a dialog.
const viewer = document.getElementById("viewer");
viewer.querySelector(".close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
function show(element) {
  viewer.querySelector("div").replaceChildren(element);
  viewer.showModal();
}
window.report = { read, show, views, mode, specs, draw };

// A select with data-signal steers that signal of the charts that its data-charts names.
for (const select of document.querySelectorAll("select[data-signal]")) {
  const names = select.dataset.charts.split(" ");
  const steer = (view) => view.signal(select.dataset.signal, select.value).runAsync();
  select.addEventListener("change", () => names.filter((name) => views.has(name)).forEach((name) => steer(views.get(name).view)));
  document.addEventListener("drawn", (event) => { if (names.includes(event.target.dataset.chart)) steer(event.detail); });
}
