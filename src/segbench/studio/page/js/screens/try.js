// A model tried on an image of one's own: threshold live, areas, doubt, warnings; and exported.
import { html, useEffect, useRef, useState } from "../html.js";
import { get, send, upload } from "../api.js";
import { lang, number, t } from "../text.js";
import { Choice } from "../parts/choice.js";
import { TaskLine } from "../parts/task.js";
import { Viewer } from "../parts/viewer.js";

export function TryScreen({ place }) {
  const [model, setModel] = useState(place.models[0]?.key);
  const [trial, setTrial] = useState(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [file, setFile] = useState(null);
  const segment = async (chosen, key = model) => {
    if (!chosen) return;
    if (chosen.size > place.upload_bytes) return setError(t("too_many_bytes", { n: Math.ceil(chosen.size / 1e6), most: Math.floor(place.upload_bytes / 1e6) }));
    setFile(chosen), setBusy(true), setError("");
    try {
      setTrial(await upload(`/api/try?model=${key}&lang=${lang}`, chosen));
    } catch (problem) {
      setError(problem.message);
    }
    setBusy(false);
  };
  useEffect(() => {
    const pasted = (event) => segment([...event.clipboardData.files][0]);
    addEventListener("paste", pasted);
    return () => removeEventListener("paste", pasted);
  }, [model]);
  if (!model) return html`<p class="told">${t("no_model")}</p>`;
  const dropped = (event) => (event.preventDefault(), segment([...event.dataTransfer.files][0]));
  const change = (key) => (setModel(key), segment(file, key));
  return html`<div class="screen" onDragOver=${(event) => event.preventDefault()} onDrop=${dropped}>
    <div class="bar"><${Choice} label=${t("model")} value=${model} options=${place.models.map(({ key, name }) => [key, name])} onChange=${change} />
      <label class="button">${t("choose_file")}<input class="hidden" type="file" onChange=${(event) => segment(event.target.files[0])} /></label>
      ${busy && html`<span aria-live="polite">${t("segmenting")}</span>`}
      ${!place.read_only && html`<${Export} model=${model} />`}</div>
    ${error && html`<p class="alarm" role="alert">${error}</p>`}
    ${trial ? html`<${Result} key=${trial.key} first=${trial} name=${file?.name} />` : html`<p class="told drop">${t("drop_image")}</p>`}</div>`;
}

function Result({ first, name }) {
  const [said, setSaid] = useState(first);
  const [threshold, setThreshold] = useState(null);
  const [look, setLook] = useState("tint");
  const [opacity, setOpacity] = useState(0.5);
  const [side, setSide] = useState("");
  const asked = threshold === null ? "" : `&threshold=${threshold}`;
  const stop = useRef(null);
  useEffect(() => {
    if (threshold === null) return setSaid(first);
    stop.current?.abort();
    stop.current = new AbortController();
    const timer = setTimeout(() => get(`/api/try/${first.key}?lang=${lang}${asked}`, stop.current.signal).then(setSaid, () => {}), 60);
    return () => clearTimeout(timer);
  }, [threshold]);
  const url = (what) => `/api/try/${first.key}/${what}?${what === "image" || what === "doubt" ? "" : asked}`;
  const layers = look === "doubt" ? [{ key: "doubt", url: url("doubt") }]
    : [{ key: "image", url: url("image") }, ...(look === "tint" ? [{ key: "tint", url: url("tint"), opacity }] : [])];
  const area = Number(side) > 0 ? Number(side) ** 2 : null;
  return html`<div class="columns"><aside class="list scroll">
      ${said.unlike && html`<p class="alarm">${t("unlike", { told: said.unlike })}</p>`}
      ${said.notes.map((note) => html`<p class="faint">${note}</p>`)}
      ${said.chosen !== null && html`<label>${t("threshold")} <output>${number(threshold ?? said.chosen, 2)}</output>
        <input type="range" min="0.01" max="0.99" step="0.01" value=${threshold ?? said.chosen} onInput=${(event) => setThreshold(Number(event.target.value))} /></label>
        <button class="quiet" onClick=${() => setThreshold(null)}>${t("as_validated", { value: number(said.chosen, 2) })}</button>`}
      <h3>${t("areas")}</h3><table><thead><tr><th>${t("class")}</th><th>${t("pixels")}</th><th>${t("share")}</th>${area && html`<th>mm²</th>`}</tr></thead>
        <tbody>${said.areas.map((each, index) => html`<tr><th scope="row"><i class="swatch" style="background:rgb(${said.colors[index]})"></i> ${each.name}</th>
          <td>${number(each.px)}</td><td>${each.share === null ? "–" : `${number(100 * each.share, 1)} %`}</td>${area && html`<td>${number(each.px * area, 1)}</td>`}</tr>`)}</tbody></table>
      <label>${t("mm_per_px")} <input type="number" min="0" step="any" class="short" value=${side} onInput=${(event) => setSide(event.target.value)} /></label>
      <p>${t("mean_doubt", { value: said.doubt })}</p>
      ${said.expected && html`<p>${t("expected", { value: number(said.expected[0], 2), low: number(said.expected[1], 2), high: number(said.expected[2], 2) })}</p>`}
      <p><a class="button" download=${`${(name ?? "image").replace(/\.[^.]*$/, "")}.png`} href=${url("mask")}>${t("save_mask")}</a></p></aside>
    <div class="stage"><div class="bar">
        <${Choice} label=${t("shown_over")} value=${look} onChange=${setLook} options=${[["tint", t("area")], ["image", t("nothing")], ["doubt", t("doubt")]]} />
        <label>${t("layer_opacity")} <input type="range" min="0" max="1" step="0.01" value=${opacity} onInput=${(event) => setOpacity(Number(event.target.value))} /></label></div>
      <${Viewer} size=${[said.height, said.width]} label=${name ?? t("image")} layers=${layers} /></div></div>`;
}

function Export({ model }) {
  const [task, setTask] = useState(null);
  const [error, setError] = useState("");
  const start = async (format) => {
    if (!format) return;
    setError("");
    try {
      setTask(await send("/api/export", { model, format }));
    } catch (problem) {
      setError(problem.message);
    }
  };
  return html`<${Choice} label=${t("export_as")} value="" onChange=${start}
      options=${[["", "–"], ["onnx", "ONNX"], ["openvino", "OpenVINO"], ["torchscript", "TorchScript"], ["html", "HTML"]]} />
    ${task && html`<${TaskLine} task=${task} />`}${error && html`<span class="alarm">${error}</span>`}`;
}
