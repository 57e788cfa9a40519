// Every image as a point, size against brightness. A line drawn around points filters the grid; so do the sliders.
import { html, useEffect, useRef, useState } from "../html.js";
import { number, t } from "../text.js";
import { Choice } from "./choice.js";
import { useAnswer, useTheme } from "./use.js";
import { written } from "./filters.js";

const WIDTH = 260, HEIGHT = 200, EDGE = 10;

export function Scatter({ filters, change, known }) {
  const canvas = useRef(null);
  useTheme();
  const [drawn, setDrawn] = useState(null); // [[x, y], ...] in pixels of the canvas, while it is drawn
  const flat = known.side[0] === known.side[1] && known.foreground;
  const over = filters.across ?? (flat ? "foreground" : "side");
  const { lasso, across: _, side_min, side_max, brightness_min, brightness_max, sort, down, ...others } = filters;
  const { value } = useAnswer(known.brightness ? `/api/scatter?${written({ ...others, across: over })}&known=${known.version}` : null);
  const [low, high] = known[over] ?? [0, 1], [dark, bright] = known.brightness ?? [0, 255];
  const unit = over === "side" ? 1 : 100;
  const span = high - low || 1, light = bright - dark || 1;
  const place = (side) => EDGE + ((side - low) / span) * (WIDTH - 2 * EDGE), up = (level) => HEIGHT - EDGE - ((level - dark) / light) * (HEIGHT - 2 * EDGE);
  const back = ([x, y]) => [low + ((x - EDGE) / (WIDTH - 2 * EDGE)) * span, dark + ((HEIGHT - EDGE - y) / (HEIGHT - 2 * EDGE)) * light];
  useEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (!pen || !value) return;
    const scale = devicePixelRatio || 1;
    Object.assign(canvas.current, { width: WIDTH * scale, height: HEIGHT * scale });
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas.current);
    pen.fillStyle = style.getPropertyValue("--lead");
    pen.globalAlpha = value.across.length > 500 ? 0.4 : 0.8;
    value.across.forEach((side, n) => pen.fillRect(place(side) - 1.5, up(value.brightness[n]) - 1.5, 3, 3));
    pen.globalAlpha = 1;
    const numbers = (lasso ?? "").split(",").map(Number);
    const line = drawn ?? (lasso ? numbers.flatMap((x, n) => (n % 2 ? [] : [[place(x), up(numbers[n + 1])]])) : []);
    pen.strokeStyle = style.color;
    pen.beginPath();
    line.forEach(([x, y]) => pen.lineTo(x, y));
    if (!drawn) pen.closePath();
    pen.stroke();
  });
  const at = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const begin = (event) => (canvas.current.setPointerCapture(event.pointerId), setDrawn([at(event)]));
  const move = (event) => drawn && setDrawn([...drawn, at(event)]);
  const end = () => {
    if (!drawn) return;
    const step = Math.ceil(drawn.length / 100);
    const kept = drawn.filter((_, n) => n % step === 0);
    change({ lasso: kept.length > 2 ? kept.flatMap((point) => back(point).map((each) => each.toFixed(4))).join(",") : "", across: over });
    setDrawn(null);
  };
  const slider = (name, label, from, to, fallback) => html`<label>${label} <output>${number(Math.round(filters[name] ?? fallback))}</output>
    <input type="range" min=${Math.floor(from)} max=${Math.ceil(to)} step="1" value=${filters[name] ?? fallback}
      onChange=${(event) => change({ [name]: Number(event.target.value) === Math[name.endsWith("min") ? "floor" : "ceil"](name.endsWith("min") ? from : to) ? "" : event.target.value })} /></label>`;
  if (!known.brightness) return html`<p class="faint" role="status">${t("files_being_read")}</p>`;
  return html`${known.foreground && html`<${Choice} label=${t("across")} value=${over} onChange=${(to) => change({ across: to, lasso: "" })}
      options=${[["side", t("sort_side")], ["foreground", t("foreground_share")]]} />`}<p class="faint">${t("scatter_hint")}</p>
    <canvas ref=${canvas} class="scatter" style="width:${WIDTH}px;height:${HEIGHT}px" role="img" aria-label=${t("scatter_of", { n: value?.of ?? 0 })}
      onPointerDown=${begin} onPointerMove=${move} onPointerUp=${end} onPointerCancel=${() => setDrawn(null)}></canvas>
    <p class="faint">${t(`scatter_axes_${over}`, { low: Math.round(low * unit), high: Math.round(high * unit), dark: Math.round(dark), bright: Math.round(bright) })}</p>
    ${!flat && slider("side_min", t("side_from"), ...known.side, Math.floor(known.side[0]))}${!flat && slider("side_max", t("side_to"), ...known.side, Math.ceil(known.side[1]))}
    ${slider("brightness_min", t("brightness_from"), dark, bright, Math.floor(dark))}${slider("brightness_max", t("brightness_to"), dark, bright, Math.ceil(bright))}
    ${lasso && html`<button onClick=${() => change({ lasso: "" })}>${t("remove_lasso")}</button>`}`;
}
