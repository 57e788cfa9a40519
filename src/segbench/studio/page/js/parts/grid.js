// A grid of any number of tiles: only the rows that can be seen are in the page. Arrow keys move, Enter opens.
import { html, useEffect, useRef, useState } from "../html.js";

const AHEAD = 2; // rows above and below what can be seen

export function Grid({ total, tile, gap = 8, draw, onOpen, onRange, label }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600, width: 800 });
  const [active, setActive] = useState(0);
  useEffect(() => {
    const measure = () => {
      const { clientHeight: height, clientWidth: width, scrollTop: top } = box.current;
      setView({ top, height, width });
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(box.current);
    box.current.addEventListener("scroll", measure, { passive: true });
    return () => watch.disconnect();
  }, []);
  const columns = Math.max(1, Math.floor((view.width + gap) / (tile.width + gap)));
  const rowHeight = tile.height + gap;
  const rows = Math.ceil(total / columns);
  const first = Math.max(0, Math.floor(view.top / rowHeight) - AHEAD);
  const last = Math.min(rows, Math.ceil((view.top + view.height) / rowHeight) + AHEAD);
  const from = first * columns;
  const to = Math.min(total, last * columns);
  useEffect(() => onRange?.(from, to), [from, to]);
  const press = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -total, End: total }[event.key];
    if (event.key === "Enter") onOpen(active);
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(total - 1, Math.max(0, active + step));
    setActive(next);
    const top = Math.floor(next / columns) * rowHeight;
    if (top < view.top) box.current.scrollTop = top;
    if (top + rowHeight > view.top + view.height) box.current.scrollTop = top + rowHeight - view.height;
  };
  const tiles = [];
  for (let index = from; index < to; index++) {
    const place = `left:${(index % columns) * (tile.width + gap)}px;top:${Math.floor(index / columns) * rowHeight}px;` +
      `width:${tile.width}px;height:${tile.height}px`;
    tiles.push(html`<div key=${index} class="tile ${index === active ? "active" : ""}" style=${place} role="option"
      id="tile-${index}" aria-selected=${index === active} aria-posinset=${index + 1} aria-setsize=${total}
      onClick=${() => { setActive(index); onOpen(index); }}>${draw(index)}</div>`);
  }
  return html`<div class="grid" ref=${box} tabindex="0" role="listbox" aria-label=${label} aria-activedescendant="tile-${active}"
    onKeyDown=${press}><div class="sheet" style="height:${rows * rowHeight}px">${tiles}</div></div>`;
}
