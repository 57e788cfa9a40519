// One sample, large: image with its mask, what is known of it, what is wrong with it.
import { html, useEffect, useRef, useState } from "../html.js";
import { lang, number, t } from "../text.js";
import { Choice } from "./choice.js";
import { written } from "./filters.js";
import { Decide } from "./findings.js";
import { useAnswer } from "./use.js";
import { Viewer } from "./viewer.js";

const SIDE = 4096;
const percent = (share) => `${number(100 * share, share < 0.1 ? 2 : 1)} %`;

export function SampleDialog({ index, filters, classes, open, close, readOnly, wantFindings, who, decided }) {
  const box = useRef(null);
  const { value: sample, error, again } = useAnswer(`/api/samples/${index}?${written(filters)}`);
  const { value: told, again: askAgain } = useAnswer(wantFindings ? `/api/findings/of/${index}?lang=${lang}` : null);
  const [mask, setMask] = useState(localStorage.getItem("mask") ?? "area");
  const [opacity, setOpacity] = useState(0.5);
  const [off, setOff] = useState([]);
  const [chosen, setChosen] = useState(filters.finding ?? "");
  useEffect(() => {
    box.current.showModal();
    box.current.focus();
    return () => box.current?.close();
  }, []);
  useEffect(() => setChosen(filters.finding ?? ""), [index, filters.finding]);
  const go = (to) => to !== null && to !== undefined && open(to);
  const press = (event) => {
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.altKey || event.ctrlKey) return;
    const inViewer = event.target.closest(".viewer");
    const step = { PageUp: "previous", PageDown: "next", ...(inViewer ? {} : { ArrowLeft: "previous", ArrowRight: "next" }) }[event.key];
    if (step && sample) event.preventDefault(), go(sample[step]);
  };
  const shown = classes.classes.filter((each) => each.index !== classes.background && !off.includes(each.index)).map((each) => each.index);
  const layers = [{ key: "image", url: `/api/samples/${index}/image?side=${SIDE}` }];
  if (mask !== "off") layers.push({ key: "mask", opacity, url: `/api/samples/${index}/tint?side=${SIDE}&only=${shown}${mask === "outline" ? "&outline=true" : ""}` });
  const finding = told?.findings.find((each) => each.code === chosen);
  const change = (value) => (localStorage.setItem("mask", value), setMask(value));
  return html`<dialog ref=${box} class="sample" tabindex="-1" aria-label=${sample?.id ?? t("image")} onKeyDown=${press}
      onCancel=${(event) => (event.preventDefault(), close())}>
    <div class="bar"><button onClick=${() => go(sample?.previous)} disabled=${(sample?.previous ?? null) === null} aria-label=${t("previous")}>←</button>
      <strong class="path">${sample?.id ?? ""}</strong>
      <button onClick=${() => go(sample?.next)} disabled=${(sample?.next ?? null) === null} aria-label=${t("next")}>→</button>
      ${sample?.at >= 0 && html`<span>${t("of", { n: sample.at + 1, total: sample.total })}</span>`}
      <${Choice} label=${t("mask")} value=${mask} onChange=${change} options=${[["area", t("area")], ["outline", t("outline")], ["off", t("nothing")]]} />
      <label>${t("layer_opacity")} <input type="range" min="0" max="1" step="0.01" value=${opacity} onInput=${(event) => setOpacity(Number(event.target.value))} /></label>
      <a class="button" href="#/correct/${index}">${t("correct")}</a>
      <button class="close" onClick=${close}>${t("close")}</button></div>
    ${error && html`<p class="alarm" role="alert">${error.message}</p>`}
    ${sample?.unreadable && html`<p class="alarm" role="alert">${sample.unreadable}</p>`}
    ${sample && html`<div class="columns"><div class="stage"><${Seen} key=${index} sample=${sample} layers=${layers} places=${finding?.places ?? []} /></div>
      <aside class="list facts"><${Facts} sample=${sample} classes=${classes} off=${off} setOff=${setOff} />
        ${told?.findings.length > 0 && html`<h2>${t("findings")}</h2><ul class="findings">${told.findings.map((each) => html`
          <li key=${each.code} class=${each.review ? "done" : ""}><button class="quiet" aria-expanded=${each.code === chosen} onClick=${() => setChosen(each.code === chosen ? "" : each.code)}>
            ${each.review ? "✓ " : ""}${each.title}</button>
          ${each.code === chosen && html`<div class="told-more">${each.advice && html`<p><b>${t("what_to_do")}</b> ${each.advice}</p>`}
            ${each.placed && each.places.length > 0 && html`<p>${t("ringed", { n: each.places.length })}</p>`}
            ${each.review && html`<p>${t(each.review.decision)}: ${each.review.who}, ${each.review.when.slice(0, 16).replace("T", " ")}${each.review.why && html`. ${each.review.why}`}</p>`}
            ${!readOnly && html`<${Decide} key=${`${index}${each.code}`} code=${each.code} title=${each.title} files=${each.files} done=${Boolean(each.review)} who=${who}
              decided=${() => (askAgain(), again(), decided())} />`}</div>`}</li>`)}</ul>`}
        <p class="faint keys">${t("sample_keys")}</p></aside></div>`}</dialog>`;
}

// The picture, zoomed to the places of the finding where they are known.
function Seen({ sample, layers, places }) {
  const [made, setMade] = useState(null);
  const margin = Math.max(sample.width, sample.height) / 80;
  const rings = places.map(({ x, y, width, height }) => ({
    x: x - margin - width * 0.2, y: y - margin - height * 0.2, width: width * 1.4 + 2 * margin, height: height * 1.4 + 2 * margin,
  }));
  const told = JSON.stringify(rings);
  useEffect(() => {
    if (!made || !rings.length) return undefined;
    const [{ x, y, width, height }] = rings, wide = sample.width;
    const zoom = () => made.viewport?.fitBounds(new OpenSeadragon.Rect((x - 2 * width) / wide, (y - 2 * height) / wide, (5 * width) / wide, (5 * height) / wide), true);
    const added = () => setTimeout(zoom, 0); // after the viewer has shown the whole image
    if (made.world.getItemCount()) zoom();
    else made.world.addOnceHandler("add-item", added);
    return () => made.world?.removeHandler("add-item", added);
  }, [made, told]);
  return html`<${Viewer} layers=${layers} size=${[sample.height, sample.width]} rings=${rings} label=${sample.id} ready=${setMade} />`;
}

function Facts({ sample, classes, off, setOff }) {
  const all = sample.height * sample.width;
  const turn = (index) => setOff(off.includes(index) ? off.filter((each) => each !== index) : [...off, index]);
  const row = (name, value) => value && html`<dt>${name}</dt><dd class="path">${value}</dd>`;
  return html`<dl>${row(t("size"), `${number(sample.width)} × ${number(sample.height)}`)}${row(t("part"), sample.part)}${row(t("group"), sample.group)}
      ${row(t("image"), sample.image)}${row(t("mask"), sample.mask)}${sample.brightness !== null && row(t("brightness"), number(Math.round(sample.brightness)))}</dl>
    ${sample.pixels.length > 0 && html`<table class="pixels"><caption class="hidden">${t("pixels")}</caption>
      <thead><tr><th>${t("class")}</th><th>${t("pixels")}</th><th>${t("share")}</th></tr></thead>
      <tbody>${classes.classes.map(({ index, name, color }) => html`<tr><th scope="row">${index === classes.background ? name : html`<label>
          <input type="checkbox" checked=${!off.includes(index)} onChange=${() => turn(index)} /> <i class="swatch" style="background:rgb(${color})"></i> ${name}</label>`}</th>
        <td>${number(sample.pixels[index])}</td><td>${percent(sample.pixels[index] / all)}</td></tr>`)}
        ${sample.pixels.at(-1) > 0 && html`<tr><th scope="row">${t("counts_nowhere")}</th><td>${number(sample.pixels.at(-1))}</td><td>${percent(sample.pixels.at(-1) / all)}</td></tr>`}
      </tbody></table>`}`;
}
