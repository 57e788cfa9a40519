// Masks corrected by hand: painted, saved at once, every version kept; and a training on them, before against after.
import { html, useCallback, useEffect, useRef, useState } from "../html.js";
import { mayPass, send, upload } from "../api.js";
import { lang, t } from "../text.js";
import { Choice } from "../parts/choice.js";
import { ClassPicker } from "../parts/classes.js";
import { dropDraft, findDraft, keepDraft } from "../parts/drafts.js";
import { Editor } from "../parts/editor.js";
import { Labels } from "../parts/labels.js";
import { fetchLabels, packed } from "../parts/packed.js";
import { Queue } from "../parts/queue.js";
import { Retrain } from "../parts/retrain.js";
import { isWriting, useAnswer, useKept } from "../parts/use.js";
import { Write } from "../parts/write.js";

const TOOLS = { brush: "b", eraser: "e", polygon: "p", fill: "f", picker: "i", lasso: "m", move: "h" };
const SAVE_AFTER_MS = 900;
const TRY_AGAIN_MS = 3000;

export function CorrectScreen({ place, rest }) {
  const index = Number(rest[0] ?? 0);
  const { value: classes } = useAnswer("/api/classes");
  const { value: row, error } = useAnswer(`/api/samples?start=${index}&count=1`);
  const { value: corrected, again } = useAnswer(`/api/correct?lang=${lang}`);
  const [order, setOrder] = useState(null); // places of the samples; null: as in the data set
  const saved = useRef(null); // of the desk: saves what is not, and tells whether that could be
  const open = async (to) => { if (to !== undefined && (!saved.current || (await saved.current()))) location.hash = `#/correct/${to}`; };
  const all = place.reading.samples;
  const at = order ? order.indexOf(index) : index;
  const [before, after] = order ? [order[at - 1], at < 0 ? order[0] : order[at + 1]] : [index > 0 ? index - 1 : undefined, index + 1 < all ? index + 1 : undefined];
  const go = useRef({});
  go.current = { PageUp: () => open(before), PageDown: () => open(after) };
  useEffect(() => {
    const press = (event) => { if (go.current[event.key] && event.target.tagName !== "SELECT") event.preventDefault(), go.current[event.key](); };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  if (error) return html`<p class="told">${error.message}</p>`;
  if (!classes || !row) return null;
  if (!row.samples.length) return html`<p class="told">${t("no_such_image")} <a href="#/correct/0">${t("first_image")}</a></p>`;
  const sample = row.samples[0];
  return html`<div class="screen">
    <div class="bar"><button onClick=${() => open(before)} disabled=${before === undefined} title="PageUp" aria-label=${t("previous")}>←</button><strong class="path">${sample.id}</strong>
      <button onClick=${() => open(after)} disabled=${after === undefined} title="PageDown">${t("next_image")} →</button>
      <span>${order && at >= 0 ? t("of", { n: at + 1, total: order.length }) : t("of", { n: index + 1, total: all })}</span>
      ${corrected && html`<span>${t("corrected_n", { n: corrected.samples.length })}</span>`}
      ${corrected?.told && html`<b class="alarm">${corrected.told}</b>`}</div>
    <div class="beside"><div class="screen">${sample.index === index && html`<${Desk} key=${index} index=${index} sample=${sample} classes=${classes} place=${place} onSaved=${again} saved=${saved} />`}</div>
      <${Queue} place=${place} index=${index} corrected=${corrected} open=${open} onOrder=${setOrder} /></div>
    <${Write} place=${place} corrected=${corrected} />
    <${Retrain} place=${place} corrected=${corrected} /></div>`;
}

function Desk({ index, sample, classes, place, onSaved, saved }) {
  const multilabel = classes.task === "multilabel";
  const [there, setThere] = useState(null);
  const ignored = { index: classes.ignore_index, name: t("counts_nowhere"), color: [128, 128, 128] };
  const paintable = !multilabel && classes.can_ignore ? [...classes.classes, ignored] : classes.classes;
  const nothing = classes.background ?? (classes.can_ignore ? classes.ignore_index : 0); // what the eraser leaves
  const first = classes.classes.find((each) => each.index !== classes.background)?.index ?? 0;
  const [wanted, setTool] = useKept("correct.tool", "brush");
  const [label, setLabel] = useKept("correct.label", first);
  const [radius, setRadius] = useKept("correct.radius", Math.max(1, Math.round(Math.min(sample.height, sample.width) / 40)));
  const [keep, setKeep] = useKept("correct.keep", false);
  const [opacity, setOpacity] = useKept("correct.opacity", 0.5);
  const [from, setFrom] = useKept("correct.model", "");
  const [state, setState] = useState("saved");
  const [conflict, setConflict] = useState(null);
  const [drawn, setDrawn] = useState(0);
  const [model, setModel] = useState(null);
  const tool = wanted === "lasso" && !model ? "brush" : wanted;
  const version = useRef(0);
  const timer = useRef(null);
  const sending = useRef(null);
  const restored = useRef(null); // the draft that was found
  const [unkept, setUnkept] = useState(false);

  const draftKey = `${place.path}\n${sample.id}`;
  const load = useCallback(async (mine = true) => {
    const image = new Image();
    image.src = `/api/samples/${index}/image`;
    const [{ data, version: now }] = await Promise.all([fetchLabels(`/api/correct/${index}/labels?lang=${lang}`), image.decode()]);
    const draft = mine && !place.read_only ? await findDraft(draftKey).catch(() => null) : null; // a browser that keeps nothing
    const kept = draft?.data.length === data.length ? draft : null; // painted, and not saved: the studio was gone, or the tab
    version.current = kept ? kept.version : now;
    const shown = kept ? kept.data : data;
    const plane = sample.height * sample.width;
    const planes = Array.from({ length: shown.length / plane }, (_, n) => new Labels(sample.height, sample.width, shown.slice(n * plane, (n + 1) * plane)));
    setThere({ image, planes, present: presentIn(planes, multilabel) });
    setState(kept ? "unsaved" : "saved"), setConflict(null);
    if (kept) restored.current = kept.of;
    if (!mine) await drop();
  }, [index]);
  useEffect(() => { if (there && state === "unsaved") save(); }, [there]);
  useEffect(() => {
    load().catch((error) => setConflict({ told: error.message }));
  }, [load]);

  const keepPainted = (data) => keepDraft(draftKey, { version: version.current, data }).then(() => setUnkept(false), () => setUnkept(true));
  const drop = async () => {
    await dropDraft(draftKey).catch(() => null); // nothing was kept
    if (restored.current) await dropDraft(draftKey, restored.current).catch(() => null);
    restored.current = null;
  };
  const save = async () => {
    clearTimeout(timer.current);
    if (sending.current) return sending.current.then(save); // one after the other, each on the version of the last
    setState("saving");
    const whole = joined(there.planes), upTo = changes(there.planes);
    keepPainted(whole);
    const given = { "x-version": String(version.current) };
    sending.current = packed(whole).then((blob) => upload(`/api/correct/${index}/labels?lang=${lang}`, blob, "PUT", given))
      .then((answer) => { version.current = answer.version; return null; }, (problem) => problem)
      .finally(() => { sending.current = null; });
    const error = await sending.current;
    if (error) {
      setState("unsaved"), setConflict({ told: error.message, theirs: error.code === "conflict" });
      if (mayPass(error)) timer.current = setTimeout(save, TRY_AGAIN_MS);
      return false;
    }
    const isAll = upTo === changes(there.planes); // else more was painted meanwhile, and is saved next
    setState(isAll ? "saved" : "unsaved"), setConflict(null), onSaved();
    if (isAll) await drop();
    return true;
  };
  const changed = () => {
    setState("unsaved"), setDrawn((n) => n + 1);
    if (place.read_only) return;
    keepPainted(joined(there.planes));
    clearTimeout(timer.current);
    timer.current = setTimeout(save, SAVE_AFTER_MS);
  };
  useEffect(() => () => {
    if (saved.current === settle.current) saved.current = null; // else the next desk is there already
    if (timer.current && stateNow.current !== "saved") saveNow.current();
  }, []);
  const stateNow = useRef(state), saveNow = useRef(save);
  stateNow.current = state, saveNow.current = save;
  const settle = useRef(null);
  settle.current = saved.current = async () => place.read_only || !there || stateNow.current === "saved" || save();

  const labels = there?.planes[multilabel ? label : 0];
  const back = (step) => { if (labels?.[step]()) changed(); };
  useEffect(() => {
    const press = (event) => {
      if (isWriting(event.target) || event.altKey) return;
      const key = event.key.toLowerCase();
      if ((event.ctrlKey || event.metaKey) && key === "z") return event.preventDefault(), back(event.shiftKey ? "redo" : "undo");
      if ((event.ctrlKey || event.metaKey) && key === "y") return event.preventDefault(), back("redo");
      if (event.ctrlKey || event.metaKey) return undefined;
      const chosen = Object.keys(TOOLS).find((name) => TOOLS[name] === key);
      if (chosen) return setTool(chosen);
      if (key === "[" || key === "]") return setRadius((now) => Math.max(0.5, key === "]" ? now * 1.25 : now / 1.25));
      if (/^[1-9]$/.test(key) && classes.classes[Number(key) - 1]) return setLabel(classes.classes[Number(key) - 1].index);
      return undefined;
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [labels]);

  const choose = (key) => (setFrom(key), key && setTool("lasso"));
  useEffect(() => {
    let gone = false;
    setModel(null);
    if (place.models.some((each) => each.key === from))
      fetchLabels(`/api/correct/${index}/model/${from}?lang=${lang}`).then(({ data }) => gone || setModel(data), (error) => gone || setConflict({ told: error.message }));
    return () => { gone = true; };
  }, [from]);
  const over = async (mine) => {
    if (!mine) return load(false);
    version.current = (await fetchLabels(`/api/correct/${index}/labels`)).version;
    return save();
  };
  const revert = async () => {
    await send(`/api/correct/${index}/revert?lang=${lang}`, {});
    await load(false);
    onSaved();
  };
  if (!there) return html`<p class="told">${conflict?.told ?? t("starting")}</p>`;
  const colors = multilabel ? planeColors(classes.classes[label].color) : labelColors(classes);
  const plane = sample.height * sample.width;
  const largest = Math.max(200, Math.round(Math.min(sample.height, sample.width) / 4));
  return html`<div class="bar tools" role="toolbar" aria-label=${t("correct")}>
      ${Object.entries(TOOLS).map(([name, key]) => html`<button aria-pressed=${tool === name} title=${key.toUpperCase()} onClick=${() => setTool(name)}
        disabled=${name === "lasso" && !model}>${t(name)}</button>`)}
      <label>${t("brush_size")} <input type="range" min="0.5" max=${largest} step="0.5" value=${radius} onInput=${(event) => setRadius(Number(event.target.value))} /></label>
      <label>${t("layer_opacity")} <input type="range" min="0" max="1" step="0.01" value=${opacity} onInput=${(event) => setOpacity(Number(event.target.value))} /></label>
      ${!multilabel && html`<label><input type="checkbox" checked=${keep} onChange=${(event) => setKeep(event.target.checked)} /> ${t("keep_others")}</label>`}
      <button title="Ctrl+Z" disabled=${!labels.done.length} onClick=${() => back("undo")}>${t("undo")}</button><button title="Ctrl+Y" disabled=${!labels.undone.length} onClick=${() => back("redo")}>${t("redo")}</button>
      <span aria-live="polite" class=${state === "unsaved" && !place.read_only ? "alarm" : "faint"}>${place.read_only ? t("read_only_hint") : state === "saved" ? (version.current ? t("saved_at", { version: version.current }) : t("own_mask"))
        : t(state)}</span>
      ${version.current > 0 && !place.read_only && html`<button class="quiet" onClick=${revert}>${t("revert")}</button>`}</div>
    ${unkept && state !== "saved" && html`<p class="alarm" role="alert">${t("unkept")}</p>`}
    ${conflict && html`<p class="alarm" role="alert">${conflict.told}${" "}
      ${conflict.theirs && html`<button onClick=${() => over(false)}>${t("conflict_theirs")}</button>
        <button onClick=${() => over(true)}>${t("conflict_mine")}</button>`}</p>`}
    <div class="bar classes"><${ClassPicker} classes=${paintable} label=${label} choose=${setLabel} present=${there.present} />
      ${place.models.length > 0 && html`<${Choice} label=${t("model_mask")} value=${from} onChange=${choose} options=${[["", "–"], ...place.models.map(({ key, name }) => [key, name])]} />`}</div>
    <${Editor} image=${there.image} labels=${labels} tool=${tool} label=${multilabel ? 1 : label} background=${multilabel ? 0 : nothing}
      radius=${radius} keep=${keep} opacity=${opacity} colors=${colors} drawn=${`${drawn}${label}`} changed=${changed}
      model=${model && (multilabel ? model.subarray(label * plane, (label + 1) * plane) : model)} pick=${(found) => !multilabel && paintable.some((each) => each.index === found) && setLabel(found)} />
    <p class="faint keys">${t("correct_hint")}</p>`;
}

function joined(planes) {
  const whole = new Uint8Array(planes.length * planes[0].data.length);
  planes.forEach((each, n) => whole.set(each.data, n * each.data.length));
  return whole;
}
const changes = (planes) => planes.reduce((sum, each) => sum + each.changes, 0);
const presentIn = (planes, multilabel) => {
  if (multilabel) return new Set(planes.flatMap((each, n) => (each.data.includes(1) ? [n] : [])));
  const found = new Uint8Array(256);
  for (const label of planes[0].data) found[label] = 1;
  return new Set([...found.keys()].filter((label) => found[label]));
};

const little = ([red, green, blue], alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const memo = new Map();
const remembered = (key, make) => memo.get(key) ?? memo.set(key, make()).get(key);
const labelColors = (classes) => remembered(JSON.stringify(classes), () => {
  const table = new Uint32Array(256).fill(little([128, 128, 128]));
  classes.classes.forEach(({ index, color }) => { table[index] = little(color, index === classes.background ? 0 : 255); });
  return table;
});
const planeColors = (color) => remembered(`plane ${color}`, () => new Uint32Array(256).fill(little([128, 128, 128])).fill(0, 0, 1).fill(little(color), 1, 2));
