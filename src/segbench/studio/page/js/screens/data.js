// The data set as a grid of images with their masks.
import { html, useCallback, useRef, useState } from "../html.js";
import { get } from "../api.js";
import { t } from "../text.js";
import { Grid } from "../parts/grid.js";

const TILE = { width: 168, height: 192 };
const PAGE = 200;

export function DataScreen({ place }) {
  const pages = useRef(new Map());
  const [, drawn] = useState(0);
  const [look, setLook] = useState("overlay");
  const total = place.reading.samples;
  const load = useCallback(async (from, to) => {
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE); page++) {
      if (pages.current.has(page)) continue;
      pages.current.set(page, null);
      const { samples } = await get(`/api/samples?start=${page * PAGE}&count=${PAGE}`);
      pages.current.set(page, samples);
      drawn((n) => n + 1);
    }
  }, []);
  const sample = (index) => pages.current.get(Math.floor(index / PAGE))?.[index % PAGE];
  const draw = (index) => {
    const row = sample(index);
    return html`<img loading="lazy" decoding="async" alt="" src="/api/samples/${index}/${look}?side=168" />
      <span class="name" title=${row?.id}>${row?.id ?? ""}</span>`;
  };
  return html`<section class="screen">
    <div class="bar"><span>${t("samples", { n: total })}</span>
      <select onChange=${(event) => setLook(event.target.value)} aria-label=${t("area")}>
        <option value="overlay" selected=${look === "overlay"}>${t("area")}</option><option value="image" selected=${look === "image"}>${t("nothing")}</option></select></div>
    <${Grid} total=${total} tile=${TILE} draw=${draw} onRange=${load} label=${t("data")}
      onOpen=${(index) => { location.hash = `#/data/${index}`; }} /></section>`;
}
