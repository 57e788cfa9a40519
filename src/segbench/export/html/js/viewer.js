// The picture with its layers: fitted to the frame, zoomed and moved by pointer, touch, wheel with Ctrl and keys.

const LARGEST_SCALE = 32, KEY_STEP_PX = 60, ZOOM_STEP = 1.4;

export function makeViewer(frame) {
  const paper = frame.querySelector(".paper"), [image, areas, outlines] = paper.querySelectorAll("canvas");
  const view = {scale: 1, x: 0, y: 0};
  const pointers = new Map();

  function fitScale() {
    return Math.min(frame.clientWidth / image.width, frame.clientHeight / image.height);
  }

  function place() {
    const wide = image.width * view.scale, high = image.height * view.scale;
    const within = (at, room, length) => length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, at));
    view.x = within(view.x, frame.clientWidth, wide);
    view.y = within(view.y, frame.clientHeight, high);
    paper.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    paper.classList.toggle("pixels", view.scale > 2);
    frame.classList.toggle("zoomed", view.scale > fitScale() * 1.01);
  }

  function fit() {
    view.scale = fitScale();
    place();
  }

  // Zooms by a factor, so that the point (x, y) of the frame stays where it is.
  function zoom(factor, x = frame.clientWidth / 2, y = frame.clientHeight / 2) {
    const scale = Math.min(LARGEST_SCALE, Math.max(fitScale(), view.scale * factor)), real = scale / view.scale;
    Object.assign(view, {scale, x: x - (x - view.x) * real, y: y - (y - view.y) * real});
    place();
  }

  function move(across, down) {
    view.x += across;
    view.y += down;
    place();
  }

  function local(event) {
    const box = frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  frame.addEventListener("wheel", event => {
    if (!event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200), ...local(event));
  }, {passive: false});
  frame.addEventListener("dblclick", event => zoom(ZOOM_STEP ** 2, ...local(event)));
  frame.addEventListener("pointerdown", event => {
    pointers.set(event.pointerId, local(event));
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", event => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = local(event), other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
      zoom(apart(now) / Math.max(1, apart(before)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else move(now[0] - before[0], now[1] - before[1]);
    pointers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, event => pointers.delete(event.pointerId));
  frame.addEventListener("keydown", event => {
    const steps = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (steps && frame.classList.contains("zoomed")) move(steps[0] * KEY_STEP_PX, steps[1] * KEY_STEP_PX);
    else if (event.key === "+" || event.key === "=") zoom(ZOOM_STEP);
    else if (event.key === "-") zoom(1 / ZOOM_STEP);
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => frame.classList.contains("zoomed") ? place() : fit()).observe(frame);

  function show(pixels) {
    for (const canvas of [image, areas, outlines]) Object.assign(canvas, {width: pixels.width, height: pixels.height});
    frame.style.setProperty("--ratio", pixels.width / pixels.height);
    image.getContext("2d").putImageData(pixels, 0, 0);
    fit();
  }

  function cover(layers) {
    areas.getContext("2d").putImageData(layers.areas, 0, 0);
    outlines.getContext("2d").putImageData(layers.outlines, 0, 0);
  }

  // What is seen, at the image's own size.
  function picture(opacity, way) {
    const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d", {alpha: false});
    context.drawImage(image, 0, 0);
    if (way === "areas") {
      context.globalAlpha = opacity;
      context.drawImage(areas, 0, 0);
      context.globalAlpha = 1;
    }
    if (way !== "none") context.drawImage(outlines, 0, 0);
    return canvas.convertToBlob({type: "image/png"});
  }

  return {show, cover, fit, picture, larger: () => zoom(ZOOM_STEP), smaller: () => zoom(1 / ZOOM_STEP)};
}
