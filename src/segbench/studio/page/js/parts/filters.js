// What the grid is filtered and sorted by: in the address, so that it can be gone back to and sent on.
import { html } from "../html.js";
import { t } from "../text.js";
import { Choice } from "./choice.js";

const KNOWN = ["part", "shows", "text", "group", "finding", "reviewed", "foreground_min", "foreground_max", "side_min", "side_max",
  "brightness_min", "brightness_max", "of", "score_min", "score_max", "lasso", "across", "sort", "down"];

export function readFilters(query) {
  const given = new URLSearchParams(query);
  return Object.fromEntries(KNOWN.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

export const written = (filters) => {
  const named = Object.entries(filters).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  return new URLSearchParams(named).toString();
};

export const address = (filters, index = null) => {
  const query = written(filters);
  return `#/data${index === null ? "" : `/${index}`}${query ? `?${query}` : ""}`;
};

// A number that is left empty where it does not matter.
const Bound = ({ label, value, unit = 1, change }) => html`<label>${label} <input type="number" class="short" min="0" step="any"
  value=${value === undefined ? "" : Number((Number(value) * unit).toFixed(4))}
  onChange=${(event) => change(event.target.value === "" ? "" : Number(event.target.value) / unit)} /></label>`;

export function FilterForm({ filters, change, known, classes }) {
  const set = (name) => (value) => change({ [name]: value });
  const any = ["", t("any")];
  const parts = known.parts.map((name) => [name, name === "-" ? t("no_part") : name]);
  return html`<form class="fields" role="search" aria-label=${t("filters")} onSubmit=${(event) => event.preventDefault()}>
    <label>${t("id_holds")} <input type="search" value=${filters.text ?? ""} onInput=${(event) => change({ text: event.target.value })} /></label>
    ${parts.length > 1 && html`<${Choice} label=${t("part")} value=${filters.part ?? ""} options=${[any, ...parts]} onChange=${set("part")} />`}
    <${Choice} label=${t("shows_class")} value=${filters.shows ?? ""} onChange=${set("shows")}
      options=${[any, ...classes.classes.map(({ index, name }) => [index, name])]} />
    ${known.groups.length > 0 && html`<label>${t("group")} <input list="groups" value=${filters.group ?? ""} onChange=${(event) => change({ group: event.target.value })} />
      <datalist id="groups">${known.groups.map((name) => html`<option value=${name}></option>`)}</datalist></label>`}
    ${known.foreground && html`<fieldset><legend>${t("foreground_percent")}</legend>
      <${Bound} label=${t("from")} value=${filters.foreground_min} unit=${100} change=${set("foreground_min")} />
      <${Bound} label=${t("to")} value=${filters.foreground_max} unit=${100} change=${set("foreground_max")} /></fieldset>`}
    ${known.side && known.side[0] !== known.side[1] && html`<fieldset><legend>${t("size_px")}</legend>
      <${Bound} label=${t("from")} value=${filters.side_min} change=${set("side_min")} />
      <${Bound} label=${t("to")} value=${filters.side_max} change=${set("side_max")} /></fieldset>`}
    ${known.scored.length > 0 && html`<${Choice} label=${t("score_of")} value=${filters.of ?? ""} options=${[["", t("none")], ...known.scored.map((name) => [name, name])]}
      onChange=${(of) => change(of ? { of, sort: "score", down: "" } : { of, sort: "", score_min: "", score_max: "" })} />
      ${filters.of && html`<fieldset><legend>${t("score_iou")}</legend>
        <${Bound} label=${t("from")} value=${filters.score_min} change=${set("score_min")} />
        <${Bound} label=${t("to")} value=${filters.score_max} change=${set("score_max")} /></fieldset>`}`}
    <${Choice} label=${t("sorted_by")} value=${filters.sort ?? "id"} onChange=${(value) => change({ sort: value === "id" ? "" : value })}
      options=${[["id", t("sort_id")], ["share", t("sort_share")], ["side", t("sort_side")], ["brightness", t("sort_brightness")], ...(filters.of ? [["score", t("sort_score")]] : [])]} />
    <label><input type="checkbox" checked=${Boolean(filters.down)} onChange=${(event) => change({ down: event.target.checked ? "true" : "" })} /> ${t("largest_first")}</label>
    ${!known.ready && html`<p class="faint" role="status">${t("files_being_read")}</p>`}
    ${known.trouble && html`<p class="alarm">${known.trouble}</p>`}</form>`;
}
