// The class that is painted: a button each. Of many classes those of the mask are shown, and others once they are looked for.
import { html, useState } from "../html.js";
import { t } from "../text.js";

const MANY = 12;

// `classes`: [{ index, name, color }]; `present`: a Set of the indices that the mask holds.
export function ClassPicker({ classes, label, choose, present }) {
  const [text, setText] = useState("");
  const many = classes.length > MANY;
  const wanted = text.trim().toLowerCase();
  const shown = classes.filter(({ index, name }) => !many || index === label || (wanted ? name.toLowerCase().includes(wanted) : present.has(index)));
  const named = wanted ? classes.filter(({ name }) => name.toLowerCase().includes(wanted)) : []; // Enter takes the first
  const press = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (shown.findIndex(({ index }) => index === label) + step + shown.length) % shown.length;
    choose(shown[next].index);
    event.currentTarget.querySelectorAll("[role=radio]")[next]?.focus();
  };
  return html`${many && html`<label>${t("find_class")} <input type="search" value=${text} onInput=${(event) => setText(event.target.value)}
      onKeyDown=${(event) => event.key === "Enter" && named.length > 0 && choose(named[0].index)} /></label>`}
    <div class="row" role="radiogroup" aria-label=${t("class")} onKeyDown=${press}>${shown.map(({ index, name, color }) => html`
      <button key=${index} role="radio" aria-checked=${label === index} tabindex=${label === index ? 0 : -1} onClick=${() => choose(index)}>
        <i class="swatch" style="background:rgb(${color})"></i> ${name}</button>`)}</div>
    ${many && !wanted && shown.length < classes.length && html`<span class="faint">${t("other_classes", { n: classes.length - shown.length })}</span>`}`;
}
