// An image with a mask that is painted: brush, eraser, polygon, fill, picker, and the model's mask inside a lasso.
import { html, useEffect, useRef } from "../html.js";
import { t } from "../text.js";

const LEAST_ZOOM = 0.05, MOST_ZOOM = 60;
const STRIP_PX = 2 ** 20; // pixels that are coloured at once, so that a large mask needs no second copy of itself

// `labels` is a Labels; `changed` is called after every step; `model` gives the model's labels of the same size, or null.
export function Editor({ image, labels, tool, label, background, radius, keep, opacity, colors, drawn, model, changed, pick }) {
  const canvas = useRef(null);
  const state = useRef({ zoom: 0, x: 0, y: 0, corners: [], last: null, cursor: null, space: false });
  const layer = useRef(null);
  const frame = useRef(null);
  const given = useRef(null);
  given.current = { image, tool, label, radius, keep, opacity, model, changed, pick };

  const tint = (box = labels.takeDirty()) => {
    if (!box) return;
    const [x0, y0, x1, y1] = box, wide = x1 - x0, rows = Math.max(1, Math.floor(STRIP_PX / wide));
    for (let top = y0; top < y1; top += rows) {
      const high = Math.min(rows, y1 - top), strip = new ImageData(wide, high), pixels = new Uint32Array(strip.data.buffer);
      for (let y = 0, to = 0; y < high; y++)
        for (let from = (top + y) * labels.width + x0, end = from + wide; from < end; from++) pixels[to++] = colors[labels.data[from]];
      layer.current.context.putImageData(strip, x0, top);
    }
  };
  const show = () => {
    frame.current ??= requestAnimationFrame(() => {
      frame.current = null;
      paint(canvas.current, layer.current, state.current, given.current);
    });
  };

  useEffect(() => {
    const made = new OffscreenCanvas(labels.width, labels.height);
    layer.current = { canvas: made, context: made.getContext("2d") };
    labels.takeDirty();
    tint([0, 0, labels.width, labels.height]);
    const watch = new ResizeObserver(() => {
      const box = canvas.current.getBoundingClientRect();
      state.current.scale = devicePixelRatio || 1;
      canvas.current.width = box.width * state.current.scale, canvas.current.height = box.height * state.current.scale;
      if (!state.current.zoom || state.current.fitted) fit(state.current, labels, box); // as long as nobody chose another view
      show();
    });
    watch.observe(canvas.current);
    return () => watch.disconnect();
  }, [labels, colors]);
  useEffect(() => { if (layer.current) tint(), show(); }, [drawn]);
  useEffect(show, [opacity, tool, radius, image]);

  const at = (event) => {
    const box = canvas.current.getBoundingClientRect(), { zoom, x, y } = state.current;
    return [(event.clientX - box.left - x) / zoom - 0.5, (event.clientY - box.top - y) / zoom - 0.5];
  };
  const inside = ([x, y]) => x > -0.5 && y > -0.5 && x < labels.width - 0.5 && y < labels.height - 0.5;
  const stroke = (to) => {
    const [x0, y0] = state.current.last ?? to;
    const erases = given.current.tool === "eraser";
    const over = given.current.keep && !erases ? background : null;
    labels.paint(labels.line(x0, y0, to[0], to[1], given.current.radius), erases ? background : given.current.label, over);
    state.current.last = to;
    tint();
    show();
  };
  const close = () => {
    const { corners } = state.current;
    if (corners.length > 2) {
      labels.begin();
      if (given.current.tool === "lasso" && given.current.model)
        labels.copy(labels.inside(corners), given.current.model);
      else labels.paint(labels.inside(corners), given.current.label, given.current.keep ? background : null);
      if (labels.end()) given.current.changed();
    }
    state.current.corners = [];
    tint(), show();
  };
  const down = (event) => {
    canvas.current.setPointerCapture(event.pointerId);
    const { tool } = given.current;
    if (tool === "move" || state.current.space || event.button === 1) return (state.current.dragged = [event.clientX, event.clientY]);
    return event.button === 0 ? act(at(event)) : undefined;
  };
  // What the tool does at a place, of the mouse or of the keyboard.
  const act = (place) => {
    const { tool } = given.current;
    if (!inside(place)) return undefined;
    const pixel = Math.round(place[1]) * labels.width + Math.round(place[0]);
    if (tool === "picker") return pick(labels.data[pixel]);
    if (tool === "fill") {
      labels.begin();
      labels.paint(labels.region(pixel), given.current.label, given.current.keep ? background : null);
      if (labels.end()) changed();
      return tint(), show();
    }
    if (tool === "polygon") {
      const { corners, zoom } = state.current;
      const first = corners[0];
      if (corners.length > 2 && Math.hypot(first[0] - place[0], first[1] - place[1]) * zoom < 10) return close();
      return corners.push(place), show();
    }
    if (tool === "lasso") return (state.current.corners = [place]);
    labels.begin();
    state.current.last = null;
    return stroke(place);
  };
  // Shift and arrows move a cursor, Shift and Enter is a click there; so everything but the lasso works without a mouse.
  const byKey = (key) => {
    const now = state.current, step = Math.max(1, Math.round(given.current.radius / 2));
    const box = canvas.current.getBoundingClientRect();
    const bound = (value, most) => Math.min(most - 1, Math.max(0, Math.round(value)));
    const [x, y] = now.cursor ?? [(box.width / 2 - now.x) / now.zoom, (box.height / 2 - now.y) / now.zoom];
    const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[key] ?? [0, 0];
    now.cursor = [bound(x + dx, labels.width), bound(y + dy, labels.height)];
    if (key === "Enter" && !["move", "lasso"].includes(given.current.tool)) act(now.cursor), up();
    return show();
  };
  const move = (event) => {
    const now = state.current;
    now.cursor = at(event);
    if (now.dragged) {
      now.fitted = false;
      now.x += event.clientX - now.dragged[0], now.y += event.clientY - now.dragged[1];
      now.dragged = [event.clientX, event.clientY];
    } else if (labels.open) return stroke(now.cursor);
    else if (given.current.tool === "lasso" && event.buttons === 1) now.corners.push(now.cursor);
    return show();
  };
  const up = () => {
    const now = state.current;
    if (now.dragged) return (now.dragged = null);
    if (given.current.tool === "lasso" && now.corners.length) return close();
    if (labels.open && labels.end()) changed();
    now.last = null;
    return undefined;
  };
  const wheel = (event) => {
    event.preventDefault();
    const now = state.current, box = canvas.current.getBoundingClientRect();
    const factor = Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400));
    now.fitted = false;
    const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, now.zoom * factor));
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    now.x = x - ((x - now.x) * zoom) / now.zoom, now.y = y - ((y - now.y) * zoom) / now.zoom, now.zoom = zoom;
    show();
  };
  useEffect(() => {
    const element = canvas.current;
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [labels]);
  const key = (event) => {
    const now = state.current;
    if (event.key === " ") event.preventDefault(), (now.space = event.type === "keydown");
    if (event.type !== "keydown" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && /^(Arrow|Enter)/.test(event.key)) return event.preventDefault(), byKey(event.key);
    const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (step) event.preventDefault(), (now.fitted = false), (now.x += step[0]), (now.y += step[1]), show();
    if (event.key === "Enter") close();
    if (event.key === "Escape") (now.corners = []), show();
    if (event.key === "0") fit(now, labels, canvas.current.getBoundingClientRect()), show();
    const factor = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
    if (factor) wheel({ preventDefault() {}, deltaY: -400 * Math.log(factor), clientX: center(canvas.current)[0], clientY: center(canvas.current)[1] });
  };
  return html`<canvas ref=${canvas} class="editor" tabindex="0" role="application" aria-label=${t("canvas")} onPointerDown=${down}
    onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up} onPointerLeave=${() => { state.current.cursor = null; show(); }}
    onKeyDown=${key} onKeyUp=${key} onContextMenu=${(event) => event.preventDefault()}></canvas>`;
}

const center = (element) => {
  const box = element.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
};

function fit(state, { height, width }, box) {
  state.fitted = true;
  state.zoom = Math.min(box.width / width, box.height / height) * 0.98 || 1;
  state.x = (box.width - width * state.zoom) / 2, state.y = (box.height - height * state.zoom) / 2;
}

function paint(canvas, layer, { zoom, x, y, corners, cursor, scale = 1 }, { image, opacity, tool, radius }) {
  if (!canvas || !layer) return;
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(zoom * scale, 0, 0, zoom * scale, x * scale, y * scale);
  context.imageSmoothingEnabled = zoom * scale < 1;
  context.drawImage(image, 0, 0, layer.canvas.width, layer.canvas.height);
  context.globalAlpha = opacity;
  context.drawImage(layer.canvas, 0, 0);
  context.globalAlpha = 1;
  context.lineWidth = 2 / zoom;
  context.strokeStyle = "#fff";
  const outlined = () => {
    context.stroke();
    context.setLineDash([4 / zoom, 4 / zoom]);
    context.strokeStyle = "#000";
    context.stroke();
    context.setLineDash([]);
  };
  if (corners.length) {
    context.beginPath();
    corners.forEach(([cx, cy]) => context.lineTo(cx + 0.5, cy + 0.5));
    if (cursor && tool === "polygon") context.lineTo(cursor[0] + 0.5, cursor[1] + 0.5);
    outlined();
  }
  if (cursor && tool !== "move") {
    context.beginPath();
    context.arc(cursor[0] + 0.5, cursor[1] + 0.5, tool === "brush" || tool === "eraser" ? radius : 4 / zoom, 0, 7);
    outlined();
  }
}
