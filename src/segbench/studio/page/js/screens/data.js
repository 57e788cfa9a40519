// The data set as a grid of images with their masks: filtered, sorted, with what is wrong with it, and each image large.
import { html, useCallback, useEffect, useRef, useState } from "../html.js";
import { get } from "../api.js";
import { lang, number, t } from "../text.js";
import { address, FilterForm, readFilters, written } from "../parts/filters.js";
import { Findings, useFindings } from "../parts/findings.js";
import { Grid } from "../parts/grid.js";
import { HeatMaps } from "../parts/heat.js";
import { SampleDialog } from "../parts/sample.js";
import { Scatter } from "../parts/scatter.js";
import { useAnswer } from "../parts/use.js";

const TILE = { width: 168, height: 192 };
const PAGE = 200;
const wide = () => innerWidth > 700;

export function DataScreen({ place, rest, query }) {
  const filters = readFilters(query);
  const asked = written(filters);
  const opened = /^\d+$/.test(rest[0] ?? "") ? Number(rest[0]) : null;
  const { value: classes } = useAnswer("/api/classes");
  const { value: known, again: askKnown } = useAnswer("/api/columns");
  const [shown, setShown] = useState({ findings: wide() || Boolean(filters.finding) });
  const found = useFindings(shown.findings || opened !== null || Boolean(filters.finding));
  const [round, setRound] = useState(0); // counts decisions, after which a finding's samples are others
  useEffect(() => {
    if (!known || known.ready) return undefined;
    const timer = setTimeout(askKnown, 2000);
    return () => clearTimeout(timer);
  }, [known]);
  const change = (more, index = null) => {
    const to = address({ ...filters, ...more }, index);
    if ("text" in more) history.replaceState(null, "", to), dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = to;
  };
  const look = async (finding) => {
    const { samples } = await get(`/api/samples?finding=${finding}&reviewed=true&count=1`);
    if (samples.length) location.hash = address({ finding, reviewed: "true" }, samples[0].index);
  };
  const decided = () => (found.again(), setRound((n) => n + 1));
  const section = (name, content, open) => html`<details open=${open} onToggle=${(event) => setShown((now) => ({ ...now, [name]: event.target.open }))}>
    <summary>${t(name)}</summary>${(shown[name] ?? open) && content()}</details>`;
  if (!classes || !known) return null;
  return html`<div class="screen"><h1 class="hidden">${t("data")}</h1><div class="columns">
      <aside class="list data">
        ${section("filters", () => html`<${FilterForm} filters=${filters} change=${change} known=${known} classes=${classes} />`, wide())}
        ${section("findings", () => html`<${Findings} found=${found} chosen=${filters.finding} choose=${(code, done) => change({ finding: code, reviewed: code && done ? "true" : "" })}
          look=${look} readOnly=${place.read_only} decided=${decided} />`, shown.findings)}
        ${section("where_classes", () => html`<${HeatMaps} classes=${classes} />`, false)}
        ${section("size_and_brightness", () => html`<${Scatter} filters=${filters} change=${change} known=${known} />`, false)}
      </aside>
      ${filters.finding && found.value?.state !== "ready" ? html`<p class="told" role="status">${t("examining")}</p>` : html`<${Tiles} key=${`${asked}|${known.version}|${filters.finding ? round : 0}`} asked=${asked} filters=${filters} clear=${() => { location.hash = "#/data"; }}
        open=${(index) => change({}, index)} />`}</div>
    ${opened !== null && html`<${SampleDialog} index=${opened} filters=${filters} classes=${classes} readOnly=${place.read_only} wantFindings=${found.value?.state === "ready"}
      who=${found.value?.who} open=${(index) => { location.replace(address(filters, index)); }} close=${() => change({})} decided=${decided} />`}</div>`;
}

function Tiles({ asked, filters, clear, open }) {
  const pages = useRef(new Map());
  const [, drawn] = useState(0);
  const [total, setTotal] = useState(null);
  const [error, setError] = useState(null);
  const [look, setLook] = useState("overlay");
  const load = useCallback(async (from, to) => {
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE); page++) {
      if (pages.current.has(page)) continue;
      pages.current.set(page, null);
      try {
        const { samples, total: all } = await get(`/api/samples?start=${page * PAGE}&count=${PAGE}&${asked}&lang=${lang}`);
        pages.current.set(page, samples), setTotal(all), setError(null);
      } catch (problem) {
        pages.current.delete(page), setError(problem);
      }
      drawn((n) => n + 1);
    }
  }, []);
  useEffect(() => { load(0, 1); }, []);
  const draw = (place) => {
    const row = pages.current.get(Math.floor(place / PAGE))?.[place % PAGE];
    return row && html`<img loading="lazy" decoding="async" alt="" src="/api/samples/${row.index}/${look}?side=168" />
      <span class="name" title=${row.id}>${row.score !== null && html`<b>${number(row.score, 2)}</b> `}${row.id}</span>`;
  };
  const at = (place) => pages.current.get(Math.floor(place / PAGE))?.[place % PAGE];
  return html`<section class="stage"><div class="bar"><span role="status">${total === null ? "" : t("samples", { n: total })}</span>
      <select onChange=${(event) => setLook(event.target.value)} aria-label=${t("mask")}>
        <option value="overlay" selected=${look === "overlay"}>${t("area")}</option><option value="image" selected=${look === "image"}>${t("nothing")}</option></select>
      ${Object.keys(filters).length > 0 && html`<button onClick=${clear}>${t("show_all")}</button>`}</div>
    ${error && html`<p class="alarm" role="alert">${error.message}</p>`}
    ${total === 0 && html`<p class="told">${t("none_match")}</p>`}
    ${total > 0 && html`<${Grid} total=${total} tile=${TILE} draw=${draw} onRange=${load} label=${t("data")} onOpen=${(place) => at(place) && open(at(place).index)} />`}</section>`;
}
