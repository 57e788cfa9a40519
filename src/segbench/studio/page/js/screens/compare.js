// Two approaches on the same images: zoomed together, behind a curtain, where only one is wrong; or blind.
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { lang, number, t } from "../text.js";
import { useAnswer } from "../parts/use.js";
import { Choice } from "../parts/choice.js";
import { Histogram } from "../parts/histogram.js";
import { Viewer } from "../parts/viewer.js";

export function CompareScreen() {
  const { value, error } = useAnswer(`/api/compare?lang=${lang}`);
  const [chosen, setChosen] = useState(null);
  if (error) return html`<p class="told">${error.message}</p>`;
  if (!value) return html`<p class="told">${t("judging")}</p>`;
  const [first, second] = chosen ?? value.entries.slice(0, 2).map((entry) => entry.index);
  const names = value.entries.map((entry) => [entry.index, entry.name]);
  const choose = (place, index) => setChosen(place ? [first === index ? second : first, index] : [index, second === index ? first : second]);
  return html`<div class="screen">
    <div class="bar"><${Choice} label=${t("first")} value=${first} options=${names} onChange=${(index) => choose(0, Number(index))} />
      <${Choice} label=${t("second")} value=${second} options=${names} onChange=${(index) => choose(1, Number(index))} /></div>
    <${Pair} key=${`${first}-${second}`} first=${first} second=${second} /></div>`;
}

function Pair({ first, second }) {
  const { value, error } = useAnswer(`/api/compare/${first}/${second}?lang=${lang}`);
  const [at, setAt] = useState(0);
  const [view, setView] = useState("side");
  const [blind, setBlind] = useState(null);
  if (error) return html`<p class="told">${error.message}</p>`;
  if (!value) return null;
  const signed = (x) => (x > 0 ? "+" : x < 0 ? "−" : "") + number(Math.abs(x));
  const [one, other] = value.names;
  const move = (step) => setAt(Math.min(value.images.length - 1, Math.max(0, at + step)));
  if (blind) return html`<${Blind} value=${value} first=${first} second=${second} end=${() => setBlind(null)} />`;
  const image = value.images[at];
  return html`
    <div class="bar"><strong>${t("difference_of", { first: one, second: other, value: signed(value.difference),
        low: signed(value.low), high: signed(value.high), told: value.told })}</strong>
      <span>${t("better_on", { name: one, percent: Math.round(100 * value.first_better) })}</span>
      <button onClick=${() => setBlind(true)}>${t("blind")}</button></div>
    <div class="columns"><aside class="list">
        <${Histogram} ...${value.histogram} label=${t("histogram")} />
        <ol class="images" tabindex="0" aria-label=${t("images")} onKeyDown=${(event) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step) event.preventDefault(), move(step);
        }}>${value.images.map((each, index) => html`<li key=${each.id} aria-current=${index === at} onClick=${() => setAt(index)}>
          <span>${each.id}</span><span>${signed(each.first - each.second)}</span></li>`)}</ol></aside>
      <div class="stage"><div class="bar">
          <${Choice} label=${t("view")} value=${view} onChange=${setView} options=${[["side", t("side_by_side")], ["curtain", t("curtain")],
            ["truth", t("truth")], ["only_first", t("only_wrong", { name: one })], ["only_second", t("only_wrong", { name: other })]]} />
          <span>${one} ${number(image.first)} · ${other} ${number(image.second)}</span></div>
        <${Stage} key=${image.id} image=${image} first=${first} second=${second} view=${view} names=${value.names} /></div></div>`;
}

const picture = (image) => ({ key: "image", url: `/api/samples/${image.sample}/image?side=2048` });
const laid = (image, first, second, layer, opacity, until = 1) => ({
  key: layer, url: `/api/compare/${first}/${second}/${layer}?image=${encodeURIComponent(image.id)}`, opacity, until,
});

function Stage({ image, first, second, view, names }) {
  const link = useRef([]);
  const [opacity, setOpacity] = useState(0.5);
  const [curtain, setCurtain] = useState(0.5);
  const size = [image.height, image.width];
  const one = (layer, name) => html`<figure class="view"><figcaption>${name}</figcaption><${Viewer} link=${link.current} size=${size}
    label=${`${image.id}: ${name}`} layers=${[picture(image), laid(image, first, second, layer, opacity)]} /></figure>`;
  const slider = (label, value, set) => html`<label>${label} <input type="range" min="0" max="1" step="0.01" value=${value}
    onInput=${(event) => set(Number(event.target.value))} /></label>`;
  return html`<div class="bar">${slider(t("layer_opacity"), opacity, setOpacity)}
      ${view === "curtain" && slider(t("curtain"), curtain, setCurtain)}</div>
    <div class="side">${view === "side" ? [one("first", names[0]), one("second", names[1])]
      : view === "curtain" ? html`<figure class="view"><figcaption>${names[0]} | ${names[1]}</figcaption><${Viewer} size=${size} label=${image.id}
          layers=${[picture(image), laid(image, first, second, "second", opacity), { ...picture(image), key: "cover", until: curtain },
            laid(image, first, second, "first", opacity, curtain)]} /></figure>`
      : one(view, view === "truth" ? t("truth") : t("only_wrong", { name: view === "only_first" ? names[0] : names[1] }))}</div>`;
}

const ASKED = 10;

// Ten images, left and right in an order that nobody is told; then what was preferred, beside what the score says.
function Blind({ value, first, second, end }) {
  const round = useMemo(() => {
    const images = [...value.images].map((image) => [Math.random(), image]).sort((a, b) => a[0] - b[0]).slice(0, ASKED).map(([, image]) => image);
    return images.map((image) => ({ image, turned: Math.random() < 0.5 }));
  }, []);
  const [answers, setAnswers] = useState([]);
  const link = useRef([]);
  const at = answers.length;
  const answer = (choice) => setAnswers([...answers, choice === "same" ? "same" : (choice === "left") !== round[at].turned ? "first" : "second"]);
  const keys = (event) => {
    const choice = { 1: "left", 2: "right", 0: "same" }[event.key];
    if (choice && at < round.length) answer(choice);
  };
  useEffect(() => {
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });
  if (at === round.length) {
    const count = (what) => answers.filter((each) => each === what).length;
    const [one, other] = value.names;
    const better = round.map(({ image }) => (image.first - image.second) * (value.higher_is_better ? 1 : -1));
    return html`<div class="told"><p><strong>${t("blind_result", { first: one, second: other, a: count("first"), b: count("second"), c: count("same") })}</strong></p>
      <p>${t("blind_scores", { first: one, second: other, a: better.filter((x) => x > 0).length, b: better.filter((x) => x < 0).length })}</p>
      <button onClick=${end}>${t("close")}</button></div>`;
  }
  const { image, turned } = round[at];
  const layers = (left) => [picture(image), laid(image, first, second, left !== turned ? "first" : "second", 0.5)];
  const one = (left) => html`<figure class="view"><figcaption>${left ? "1" : "2"}</figcaption>
    <${Viewer} link=${link.current} size=${[image.height, image.width]} label=${left ? "1" : "2"} layers=${layers(left)} /></figure>`;
  return html`<div class="bar"><span>${t("of", { n: at + 1, total: round.length })}</span><span>${t("blind_hint")}</span>
      <button onClick=${() => answer("left")}>${t("blind_first")} (1)</button><button onClick=${() => answer("right")}>${t("blind_second")} (2)</button>
      <button onClick=${() => answer("same")}>${t("blind_same")} (0)</button><button class="quiet" onClick=${end}>${t("close")}</button></div>
    <div class="side" key=${image.id}>${one(true)}${one(false)}</div>`;
}
