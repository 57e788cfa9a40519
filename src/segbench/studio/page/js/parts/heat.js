// Where each class lies: the mean over the images.
import { html, useEffect } from "../html.js";
import { t } from "../text.js";
import { useAnswer } from "./use.js";

export function HeatMaps({ classes }) {
  const { value, error, again } = useAnswer("/api/heat");
  useEffect(() => {
    if (!value || value.ready) return undefined;
    const timer = setTimeout(again, 1000);
    return () => clearTimeout(timer);
  }, [value]);
  if (error) return html`<p class="alarm">${error.message}</p>`;
  if (!value) return null;
  if (!value.ready) return html`<progress max=${value.total} value=${value.done} aria-label=${t("heat_reading")}></progress>`;
  return html`<p class="faint">${t("heat_hint", { n: value.total - value.skipped })}</p><div class="row heat">${classes.classes.map(({ index, name }) => html`
    <figure key=${index}><img src="/api/heat/${index}" alt=${t("heat_of", { name, percent: Math.round(100 * value.highest[index]) })} />
      <figcaption>${name}: ${t("at_most", { percent: Math.round(100 * value.highest[index]) })}</figcaption></figure>`)}</div>`;
}
