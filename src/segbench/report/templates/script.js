for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    const key = row => row.cells[column].dataset.sort;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x !== undefined && y !== undefined) return sign * (Number(x) - Number(y));
      if (x !== undefined || y !== undefined) return x === undefined ? 1 : -1; // no value: last, either way
      return -sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
    });
    table.tBodies[0].append(...rows);
  }));
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(fold => { fold.open = true; }));
const zoom = document.body.appendChild(Object.assign(document.createElement("dialog"), {className: "zoom"}));
zoom.addEventListener("click", () => zoom.close());
for (const picture of document.querySelectorAll(".layers")) picture.addEventListener("click", () => {
  zoom.replaceChildren(picture.parentElement.cloneNode(true));
  zoom.showModal();
});
for (const button of document.querySelectorAll(".switch")) button.addEventListener("click", () => {
  const pressed = document.body.classList.toggle("outlines");
  document.querySelectorAll(".switch").forEach(other => other.setAttribute("aria-pressed", pressed));
});
const edges = () => document.querySelectorAll(".scroll, .tiles").forEach(box => { // is there more to the right?
  box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
  box.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
});
document.querySelectorAll(".scroll, .tiles").forEach(box => box.addEventListener("scroll", edges));
document.querySelectorAll("details").forEach(fold => fold.addEventListener("toggle", edges));
const unfold = () => { // a link into what is folded
  const aim = document.getElementById(location.hash.slice(1));
  for (let fold = aim?.querySelector(":scope > details.whole") ?? aim; fold; fold = fold.parentElement) if (fold.tagName === "DETAILS") fold.open = true;
  aim?.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
addEventListener("resize", edges);
edges();
