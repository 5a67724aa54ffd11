"use strict";

// A browser may refuse to store anything for a page that is opened from disk.
const memory = {
  get() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("theme", theme); } catch { /* the choice lasts until the page is closed */ } },
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

// Numbers in order, then text in order, missing values last in both directions.
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

// Print folded details as well.
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
printable();
