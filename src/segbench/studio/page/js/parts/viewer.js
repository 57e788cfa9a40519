// One image with pictures laid over it, which can be zoomed and moved: with the mouse, fingers, and the keys + - 0 and arrows.
//
// layers: [{ key, url, opacity = 1, until = 1 }], the first is the image; `until` is the share of its width that is shown
// (a curtain). Viewers with the same `link` (an array) move together. rings: [{ x, y, width, height }] in pixels of the
// image. `ready` is called with the OpenSeadragon viewer.
import { html, useEffect, useRef, useState } from "../html.js";
import { openSeadragon } from "./library.js";

const MOST_ZOOM = 40; // pixels of the screen for one of the image

export function Viewer({ layers, size, link, rings = [], label, ready }) {
  const box = useRef(null);
  const [viewer, setViewer] = useState(null);
  useEffect(() => {
    let made = null;
    let gone = false;
    openSeadragon().then((OpenSeadragon) => {
      if (gone) return;
      made = OpenSeadragon({
        element: box.current, drawer: "canvas", showNavigationControl: false, maxZoomPixelRatio: MOST_ZOOM, minZoomImageRatio: 0.5,
        visibilityRatio: 0.3, animationTime: 0.2, imageSmoothingEnabled: false, gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      });
      made.canvas.setAttribute("role", "application");
      made.canvas.setAttribute("aria-label", label);
      setViewer(made);
      ready?.(made, OpenSeadragon);
    });
    return () => {
      gone = true;
      made?.destroy();
    };
  }, []);
  useEffect(() => viewer && shown(viewer, layers), [viewer, JSON.stringify(layers)]);
  useEffect(() => viewer && linked(viewer, link), [viewer, link]);
  useEffect(() => viewer && ringed(viewer, rings, size), [viewer, JSON.stringify(rings), String(size)]);
  return html`<div class="viewer" ref=${box}></div>`;
}

// Adds, replaces and removes pictures until they are those of `layers`.
function shown(viewer, layers) {
  const world = viewer.world;
  const there = new Map();
  for (let index = 0; index < world.getItemCount(); index++) there.set(world.getItemAt(index).source.key, world.getItemAt(index));
  for (const [key, item] of there) {
    const wanted = layers.find((layer) => layer.key === key);
    if (!wanted || wanted.url !== item.source.url) world.removeItem(item), there.delete(key);
  }
  layers.forEach(({ key, url, opacity = 1, until = 1 }, index) => {
    const item = there.get(key);
    if (item) return settle(item, opacity, until);
    viewer.addTiledImage({
      tileSource: { type: "image", url, key, buildPyramid: false }, index, x: 0, y: 0, width: 1, opacity,
      success: ({ item: added }) => settle(added, opacity, until),
    });
  });
}

function settle(item, opacity, until) {
  item.setOpacity(opacity);
  const { x, y } = item.getContentSize();
  item.setClip(until < 1 ? new OpenSeadragon.Rect(0, 0, x * until, y) : null);
}

function linked(viewer, link) {
  if (!link) return undefined;
  link.push(viewer);
  const moved = () => {
    if (viewer.follows) return;
    const bounds = viewer.viewport.getBounds();
    for (const other of link) {
      if (other === viewer || !other.viewport) continue;
      other.follows = true;
      other.viewport.fitBounds(bounds, true);
      other.follows = false;
    }
  };
  viewer.addHandler("viewport-change", moved);
  return () => {
    viewer.removeHandler("viewport-change", moved);
    link.splice(link.indexOf(viewer), 1);
  };
}

function ringed(viewer, rings, size) {
  const made = rings.map(({ x, y, width, height }) => {
    const ring = document.createElement("div");
    ring.className = "ring";
    viewer.addOverlay({ element: ring, location: new OpenSeadragon.Rect(x / size[1], y / size[1], width / size[1], height / size[1]) });
    return ring;
  });
  return () => made.forEach((ring) => viewer.removeOverlay(ring));
}
