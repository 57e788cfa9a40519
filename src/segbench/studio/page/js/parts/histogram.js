// Bars over a range around 0.
import { html } from "../html.js";
import { number } from "../text.js";

const WIDTH = 240, HEIGHT = 70;

export function Histogram({ counts, edges, label }) {
  const most = Math.max(1, ...counts);
  const step = WIDTH / counts.length;
  const told = `${label}: ${number(edges[0])} … ${number(edges.at(-1))}`;
  return html`<figure><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${told} class="histogram">
    ${counts.map((count, index) => html`<rect x=${index * step + 0.5} y=${HEIGHT - (count / most) * HEIGHT} width=${step - 1}
      height=${(count / most) * HEIGHT}><title>${number(edges[index])} … ${number(edges[index + 1])}: ${count}</title></rect>`)}
    <line x1=${WIDTH / 2} x2=${WIDTH / 2} y1="0" y2=${HEIGHT} /></svg><figcaption>${told}</figcaption></figure>`;
}
