"use strict";

// A browser may refuse to remember anything for a page that was opened from disk.
const memory = {
  get() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("theme", theme); } catch { /* it is dark until it is closed */ } },
};

function themes(button) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-pressed", String(theme === "dark"));
  };
  show(memory.get() ?? (dark.matches ? "dark" : "light"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = button.getAttribute("aria-pressed") === "true" ? "light" : "dark";
    show(theme);
    memory.set(theme);
  });
  dark.addEventListener("change", () => { if (!memory.get()) show(dark.matches ? "dark" : "light"); });
}

// Numbers in order, then text in order, what is missing last whichever way.
function order(a, b, way) {
  const [x, y] = [a, b].map((cell) => Number.parseFloat(cell.dataset.value ?? "NaN"));
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x === y ? 0 : way * (x - y);
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return way * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      body.append(...[...body.rows].sort((a, b) => order(a.cells[column], b.cells[column], way)));
    });
  });
}

// Where each x stands in a drawing, in its own coordinates.
function places(svg, xs) {
  const { left, right, low, high, log } = svg.dataset;
  const scale = log === "true" ? Math.log : Number;
  const [from, to] = [scale(Number(low)), scale(Number(high))];
  return xs.map((x) => Number(left) + ((scale(x) - from) / (to - from)) * (right - left));
}

function nearest(places, place) {
  return places.reduce((best, x, i) => (Math.abs(x - place) < Math.abs(places[best] - place) ? i : best), 0);
}

// Reads values off a chart: by a pointer over it, or by the arrow keys on a slider that shows itself when it has focus.
function readable(figure) {
  const { x: xs, y: columns } = JSON.parse(figure.querySelector("script").textContent);
  if (!xs.length) return;
  const names = [...figure.querySelectorAll(".legend li > span:nth-of-type(1)")].map((e) => e.textContent);
  const slots = [...figure.querySelectorAll(".legend .value")];
  const at = figure.querySelector(".at");
  const drawings = [...figure.querySelectorAll(".plot svg")].map((svg) => ({ svg, places: places(svg, xs) }));
  const shown = (value, digits = 4) => (value === null ? "" : String(Number(value.toPrecision(digits))));
  const slider = reader(figure, xs.length);

  const read = (index) => {
    for (const { svg, places } of drawings) {
      const cursor = svg.querySelector(".cursor");
      for (const end of ["x1", "x2"]) cursor.setAttribute(end, places[index]);
      cursor.setAttribute("visibility", "visible");
    }
    columns.forEach((column, i) => { slots[i].textContent = shown(column[index]); });
    at.textContent = `${at.dataset.name} ${shown(xs[index], 6)}`;
    const said = columns.map((column, i) => (column[index] === null ? "" : `${names[i]} ${shown(column[index])}`));
    slider.setAttribute("aria-valuetext", [at.textContent, ...said.filter(Boolean)].join(", "));
    slider.value = index;
  };
  const stop = () => {
    if (slider === document.activeElement) return;
    for (const { svg } of drawings) svg.querySelector(".cursor").setAttribute("visibility", "hidden");
    for (const slot of [...slots, at]) slot.textContent = "";
  };
  slider.addEventListener("focus", () => read(Number(slider.value)));
  slider.addEventListener("input", () => read(Number(slider.value)));
  slider.addEventListener("blur", stop);
  for (const { svg, places } of drawings) {
    untip(svg);
    const follow = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      read(nearest(places, point.x));
    };
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", stop);
  }
}

function reader(figure, count) {
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: count - 1, step: 1, value: 0 });
  slider.setAttribute("aria-label", `Values of ${figure.querySelector("h3").textContent}`);
  const box = document.createElement("div");
  box.className = "reader";
  const at = figure.querySelector(".at");
  at.before(box);
  box.append(slider, at);
  return slider;
}

// Titles would cover the values that are read beside the legend with a tooltip.
function untip(svg) {
  const title = svg.querySelector("title");
  svg.setAttribute("aria-label", title.textContent);
  svg.setAttribute("aria-describedby", svg.querySelector("desc").id);
  svg.removeAttribute("aria-labelledby");
  for (const tip of svg.querySelectorAll("title")) tip.remove();
}

// What is folded away on a screen belongs on paper.
function printable() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
}

themes(document.getElementById("theme"));
document.querySelectorAll(".sortable").forEach(sortable);
document.querySelectorAll("figure.chart").forEach(readable);
printable();
