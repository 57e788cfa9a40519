// Masks corrected by hand: painted, saved at once, every version kept; and a training on them, before against after.
import { html, useCallback, useEffect, useRef, useState } from "../html.js";
import { mayPass, send, upload } from "../api.js";
import { lang, t } from "../text.js";
import { Choice } from "../parts/choice.js";
import { dropDraft, findDraft, keepDraft } from "../parts/drafts.js";
import { Editor } from "../parts/editor.js";
import { Labels } from "../parts/labels.js";
import { fetchLabels, packed } from "../parts/packed.js";
import { Queue } from "../parts/queue.js";
import { Retrain } from "../parts/retrain.js";
import { useAnswer } from "../parts/use.js";
import { Write } from "../parts/write.js";

const TOOLS = { brush: "b", eraser: "e", polygon: "p", fill: "f", picker: "i", lasso: "m", move: "h" };
const SAVE_AFTER_MS = 900;
const TRY_AGAIN_MS = 3000;

export function CorrectScreen({ place, rest }) {
  const index = Number(rest[0] ?? 0);
  const { value: classes } = useAnswer("/api/classes");
  const { value: row, error } = useAnswer(`/api/samples?start=${index}&count=1`);
  const { value: corrected, again } = useAnswer(`/api/correct?lang=${lang}`);
  const open = (to) => { location.hash = `#/correct/${Math.min(place.reading.samples - 1, Math.max(0, to))}`; };
  if (error) return html`<p class="told">${error.message}</p>`;
  if (!classes || !row?.samples.length) return null;
  const sample = row.samples[0];
  return html`<div class="screen">
    <div class="bar"><button onClick=${() => open(index - 1)} aria-label=${t("previous")}>←</button><strong>${sample.id}</strong>
      <button onClick=${() => open(index + 1)} aria-label=${t("next")}>→</button><span>${t("of", { n: index + 1, total: place.reading.samples })}</span>
      ${corrected && html`<span>${t("corrected_n", { n: corrected.samples.length })}</span>`}
      ${corrected?.told && html`<b class="alarm">${corrected.told}</b>`}</div>
    <div class="beside"><div class="screen">${sample.index === index && html`<${Desk} key=${index} index=${index} sample=${sample} classes=${classes} place=${place} onSaved=${again} />`}</div>
      <${Queue} place=${place} index=${index} corrected=${corrected} open=${open} /></div>
    <${Write} place=${place} corrected=${corrected} />
    <${Retrain} place=${place} corrected=${corrected} /></div>`;
}

function Desk({ index, sample, classes, place, onSaved }) {
  const multilabel = classes.task === "multilabel";
  const [there, setThere] = useState(null);
  const [tool, setTool] = useState("brush");
  const first = classes.classes.find((each) => each.index !== classes.background)?.index ?? 0;
  const [label, setLabel] = useState(first);
  const [radius, setRadius] = useState(Math.max(1, Math.round(Math.min(sample.height, sample.width) / 40)));
  const [keep, setKeep] = useState(false);
  const [opacity, setOpacity] = useState(0.5);
  const [state, setState] = useState("saved");
  const [conflict, setConflict] = useState(null);
  const [drawn, setDrawn] = useState(0);
  const [model, setModel] = useState(null);
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
    setThere({ image, planes });
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
    const whole = joined(there.planes);
    keepPainted(whole);
    const given = { "x-version": String(version.current) };
    sending.current = packed(whole).then((blob) => upload(`/api/correct/${index}/labels?lang=${lang}`, blob, "PUT", given))
      .then((answer) => { version.current = answer.version; return null; }, (problem) => problem)
      .finally(() => { sending.current = null; });
    const error = await sending.current;
    if (error) {
      setState("unsaved"), setConflict({ told: error.message, theirs: error.code === "conflict" });
      if (mayPass(error)) timer.current = setTimeout(save, TRY_AGAIN_MS);
      return;
    }
    const isAll = same(whole, joined(there.planes)); // else more was painted meanwhile, and is saved next
    setState(isAll ? "saved" : "unsaved"), setConflict(null), onSaved();
    if (isAll) await drop();
  };
  const changed = () => {
    setState("unsaved"), setDrawn((n) => n + 1);
    if (place.read_only) return;
    keepPainted(joined(there.planes));
    clearTimeout(timer.current);
    timer.current = setTimeout(save, SAVE_AFTER_MS);
  };
  useEffect(() => () => { if (timer.current && stateNow.current !== "saved") saveNow.current(); }, []);
  const stateNow = useRef(state), saveNow = useRef(save);
  stateNow.current = state, saveNow.current = save;

  const labels = there?.planes[multilabel ? label : 0];
  const back = (step) => { if (labels[step]()) changed(); };
  useEffect(() => {
    const press = (event) => {
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.altKey) return;
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

  const take = async (key) => {
    setModel(null);
    if (!key) return;
    const { data } = await fetchLabels(`/api/correct/${index}/model/${key}?lang=${lang}`).catch((error) => (setConflict({ told: error.message }), {}));
    if (data) setModel(data), setTool("lasso");
  };
  const over = async (mine) => {
    if (!mine) return load(false);
    version.current = (await fetchLabels(`/api/correct/${index}/labels`)).version;
    return save();
  };
  const revert = async () => {
    await send(`/api/correct/${index}/revert?lang=${lang}`, {});
    await load();
    onSaved();
  };
  if (!there) return html`<p class="told">${conflict?.told ?? t("starting")}</p>`;
  const colors = multilabel ? planeColors(classes.classes[label].color) : labelColors(classes);
  const plane = sample.height * sample.width;
  return html`<div class="bar tools" role="toolbar" aria-label=${t("correct")}>
      ${Object.entries(TOOLS).map(([name, key]) => html`<button aria-pressed=${tool === name} title=${key.toUpperCase()} onClick=${() => setTool(name)}
        disabled=${name === "lasso" && !model}>${t(name)}</button>`)}
      <label>${t("brush_size")} <input type="range" min="0.5" max="200" step="0.5" value=${radius} onInput=${(event) => setRadius(Number(event.target.value))} /></label>
      <label>${t("layer_opacity")} <input type="range" min="0" max="1" step="0.01" value=${opacity} onInput=${(event) => setOpacity(Number(event.target.value))} /></label>
      ${!multilabel && html`<label><input type="checkbox" checked=${keep} onChange=${(event) => setKeep(event.target.checked)} /> ${t("keep_others")}</label>`}
      <button onClick=${() => back("undo")}>${t("undo")}</button><button onClick=${() => back("redo")}>${t("redo")}</button>
      <span aria-live="polite" class=${state === "unsaved" && !place.read_only ? "alarm" : "faint"}>${place.read_only ? t("read_only_hint") : state === "saved" ? (version.current ? t("saved_at", { version: version.current }) : t("own_mask"))
        : t(state)}</span>
      ${version.current > 0 && !place.read_only && html`<button class="quiet" onClick=${revert}>${t("revert")}</button>`}</div>
    ${unkept && state !== "saved" && html`<p class="alarm" role="alert">${t("unkept")}</p>`}
    ${conflict && html`<p class="alarm" role="alert">${conflict.told}${" "}
      ${conflict.theirs && html`<button onClick=${() => over(false)}>${t("conflict_theirs")}</button>
        <button onClick=${() => over(true)}>${t("conflict_mine")}</button>`}</p>`}
    <div class="bar classes" role="radiogroup" aria-label=${t("class")}>${classes.classes.map((each) => html`<button role="radio" aria-checked=${label === each.index}
        onClick=${() => setLabel(each.index)}><i class="swatch" style="background:rgb(${each.color})"></i> ${each.name}</button>`)}
      ${place.models.length > 0 && html`<${Choice} label=${t("model")} value="" onChange=${take} options=${[["", "–"], ...place.models.map(({ key, name }) => [key, name])]} />`}</div>
    <${Editor} image=${there.image} labels=${labels} tool=${tool} label=${multilabel ? 1 : label} background=${multilabel ? 0 : classes.background ?? 0}
      radius=${radius} keep=${keep} opacity=${opacity} colors=${colors} drawn=${`${drawn}${label}`} changed=${changed}
      model=${model && (multilabel ? model.subarray(label * plane, (label + 1) * plane) : model)} pick=${(found) => !multilabel && found < classes.classes.length && setLabel(found)} />
    <p class="faint keys">${t("correct_hint")}</p>`;
}

function joined(planes) {
  const whole = new Uint8Array(planes.length * planes[0].data.length);
  planes.forEach((each, n) => whole.set(each.data, n * each.data.length));
  return whole;
}
const same = (one, other) => one.every((value, place) => value === other[place]);

const little = ([red, green, blue], alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const memo = new Map();
const remembered = (key, make) => memo.get(key) ?? memo.set(key, make()).get(key);
const labelColors = (classes) => remembered(JSON.stringify(classes), () => {
  const table = new Uint32Array(256).fill(little([128, 128, 128]));
  classes.classes.forEach(({ index, color }) => { table[index] = little(color, index === classes.background ? 0 : 255); });
  return table;
});
const planeColors = (color) => remembered(`plane ${color}`, () => new Uint32Array(256).fill(little([128, 128, 128])).fill(0, 0, 1).fill(little(color), 1, 2));
