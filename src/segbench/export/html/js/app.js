// The page: images in, pictures, areas and files out. The worker does the work; see worker.js.

import {unpacked} from "./decode.js";
import {maskLayers} from "./layers.js";
import {writePng} from "./png.js";
import {makeViewer} from "./viewer.js";
import {zipped} from "./zip.js";

const THUMBNAIL_PX = 96;

const byId = id => document.getElementById(id);
const held = id => byId(id).textContent;
const {lang, texts, settings, samples} = JSON.parse(held("settings"));
const number = (value, most = 0) => new Intl.NumberFormat(lang, {maximumFractionDigits: most}).format(value);
const percent = (value, most = 1) => new Intl.NumberFormat(lang, {style: "percent", minimumFractionDigits: most, maximumFractionDigits: most}).format(value);
const told = (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

const viewer = makeViewer(byId("frame"));
const shown = settings.classes.map((_, index) => index !== settings.background);
const items = []; // images, each {id, name, file, button}, then {width, height, drawn}, and what the worker found
const state = {current: null, seen: null, busy: null, ready: false, threshold: settings.threshold, policy: null, next: 0};
let worker;

async function start() {
  if (!globalThis.DecompressionStream || !globalThis.OffscreenCanvas || !globalThis.WebAssembly) return say("old", true);
  say("loading");
  const code = [new TextDecoder().decode(await unpacked(held("library"))), held("worker")];
  worker = new Worker(URL.createObjectURL(new Blob(code, {type: "text/javascript"})));
  worker.addEventListener("message", ({data}) => hear[data.told](data));
  worker.addEventListener("error", event => hear.problem({id: null, problem: "start", detail: event.message ?? ""}));
  worker.postMessage({do: "start", settings, runtime: held("runtime"), network: held("network")});
  for (const id of ["library", "runtime", "network"]) byId(id).remove(); // megabytes of text
}

// What the worker tells.
const hear = {
  ready() {
    state.ready = true;
    document.body.dataset.ready = "";
    if (!items.length) say("ready");
    work();
  },
  pixels({id, width, height, data}) {
    const item = items.find(each => each.id === id);
    if (!item) return;
    Object.assign(item, {width, height});
    const pixels = new ImageData(data, width, height);
    if (!item.drawn) drawThumbnail(item, pixels);
    if (item !== state.current) return;
    state.seen = id;
    byId("frame").hidden = false;
    viewer.show(pixels);
  },
  progress({id, done, total}) {
    const item = items.find(each => each.id === id);
    if (!item) return;
    const bar = byId("bar");
    bar.hidden = false;
    if (total > 1) bar.value = done / total;
    else bar.removeAttribute("value");
    say(total > 1 ? "tile" : "working", false, {name: item.name, n: number(done + 1), total: number(total)});
  },
  mask({id, ms, ...found}) {
    const item = items.find(each => each.id === id);
    state.busy = null;
    if (item) {
      Object.assign(item, found, {ms: ms ?? item.ms});
      item.button.dataset.state = "done";
      if (item === state.current) showResult();
    }
    work();
  },
  problem({id, problem, detail}) {
    const item = items.find(each => each.id === id);
    state.busy = null;
    if (id === null) {
      byId("bar").hidden = true;
      return say(problem, true, {detail});
    }
    if (item) {
      Object.assign(item, {problem: told(problem, {detail})});
      item.button.dataset.state = "problem";
      item.button.title = item.problem;
      if (item === state.current) showResult();
    }
    work();
  },
};

// Gives the worker what is needed most: what a person looks at, then the rest in order.
function work() {
  if (!state.ready || state.busy) return;
  const {threshold, policy} = state;
  const wanting = item => !item.problem && (!item.mask || item.threshold !== threshold || item.policy !== policy);
  const {current} = state;
  const item = current && !current.problem && (wanting(current) || state.seen !== current.id) ? current : items.find(wanting);
  byId("bar").hidden = true;
  document.body.classList.toggle("idle", !item);
  if (!item) return current && tellResult(); // after what was said of others
  state.busy = item;
  item.button.dataset.state = "working";
  worker.postMessage({do: "segment", id: item.id, file: item.file, threshold, policy});
}

function say(key, isProblem = false, values = {}) {
  byId("status").textContent = told(key, values);
  byId("status").classList.toggle("bad", isProblem);
}

function add(files) {
  const before = items.length;
  for (const file of files) {
    const item = {id: state.next++, name: file.name || told("pasted"), file, button: document.createElement("button")};
    item.button.type = "button";
    item.button.dataset.state = "waiting";
    item.button.append(document.createElement("canvas"), Object.assign(document.createElement("span"), {textContent: item.name}));
    item.button.addEventListener("click", () => select(item));
    byId("strip").append(item.button);
    items.push(item);
  }
  if (items.length > before) select(items[before]);
}

function select(item) {
  state.current = item;
  for (const each of items) each.button.setAttribute("aria-current", each === item);
  byId("empty").hidden = Boolean(item);
  byId("work").hidden = !item;
  byId("strip").hidden = items.length < 2;
  byId("save-all").hidden = items.length < 2;
  if (!item) return say("ready");
  item.button.scrollIntoView({block: "nearest", inline: "nearest"});
  showResult();
  work();
}

function drop(item) {
  worker.postMessage({do: "forget", id: item.id});
  const at = items.indexOf(item);
  items.splice(at, 1);
  item.button.remove();
  state.seen = null;
  select(items[Math.min(at, items.length - 1)] ?? null);
}

async function drawThumbnail(item, pixels) {
  item.drawn = true;
  const scale = THUMBNAIL_PX / Math.min(pixels.width, pixels.height);
  const size = side => Math.max(1, Math.min(3 * THUMBNAIL_PX, Math.round(side * scale)));
  const [resizeWidth, resizeHeight] = [size(pixels.width), size(pixels.height)];
  const picture = await createImageBitmap(pixels, {resizeWidth, resizeHeight, resizeQuality: "medium"});
  const canvas = item.button.querySelector("canvas");
  Object.assign(canvas, {width: picture.width, height: picture.height});
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

function showResult() {
  const item = state.current, there = Boolean(item.mask) && state.seen === item.id;
  byId("frame").hidden = Boolean(item.problem) || (state.seen !== item.id && !item.drawn);
  byId("trouble").hidden = !item.problem;
  byId("trouble").textContent = item.problem ?? "";
  for (const button of document.querySelectorAll("#save button")) button.disabled = !there;
  settings.classes.forEach((_, index) => {
    const total = item.width * item.height;
    byId(`px-${index}`).textContent = item.counts ? number(item.counts[index]) : "";
    byId(`share-${index}`).textContent = item.counts ? percent(item.counts[index] / total) : "";
  });
  if (!there) return;
  cover();
  const areas = settings.classes.map(({name}, index) => `${name} ${percent(item.counts[index] / (item.width * item.height))}`);
  byId("frame").setAttribute("aria-label", told("picture", {name: item.name, areas: areas.join(", ")}));
}

// How the current image was segmented.
function tellResult() {
  const {name, width, height, ms, plan, problem} = state.current;
  const {unlike, expected} = state.current;
  byId("note").hidden = !plan?.note;
  byId("unlike").hidden = !unlike;
  byId("expected").hidden = !expected;
  if (unlike) byId("unlike").textContent = told("unlike", {reasons: unlike.join(", ")});
  if (expected) {
    const [value, low, high] = expected.map(each => number(each, 2));
    byId("expected").textContent = told("expected", {value, low, high});
  }
  if (problem) return say("unsegmented", true, {name});
  if (plan.note) byId("note").textContent = told(plan.note, {height: plan.size[0], width: plan.size[1]});
  const values = {name, width: number(width), height: number(height), seconds: number(ms / 1000, 2)};
  say(plan.tile ? "done_tiles" : plan.policy === "resize" ? "done_resized" : "done", false, {
    ...values, seen_height: number(plan.size[0]), seen_width: number(plan.size[1]),
  });
}

function cover() {
  const {mask, width, height} = state.current;
  viewer.cover(maskLayers(mask, width, height, settings, shown));
}

// Files.
const stem = name => name.replace(/\.[^.]*$/, "");

async function maskFiles(item, withPalette, folder = "") {
  const palette = withPalette ? settings.classes.map(({colour}) => colour) : null;
  const size = item.width * item.height, planes = item.mask.length / size;
  if (planes === 1 && settings.task !== "multilabel") {
    return [[`${folder}${stem(item.name)}.png`, await writePng(item.mask, item.width, item.height, palette)]];
  }
  return Promise.all(settings.classes.map(async ({name}, plane) => {
    const part = item.mask.subarray(plane * size, (plane + 1) * size);
    const own = palette && [[0, 0, 0], settings.classes[plane].colour];
    return [`${folder}${name}/${stem(item.name)}.png`, await writePng(part, item.width, item.height, own)];
  }));
}

function save(name, blob) {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function saveMask(withPalette) {
  const {current} = state, files = await maskFiles(current, withPalette);
  if (files.length === 1) save(`${stem(current.name)}_mask.png`, files[0][1]);
  else save(`${stem(current.name)}_masks.zip`, await zipped(files));
}

async function saveAll() {
  const files = new Map();
  for (const item of items.filter(each => each.mask)) {
    for (const [name, blob] of await maskFiles(item, true)) {
      let free = name;
      for (let copy = 2; files.has(free); copy++) free = `${stem(name)}_${copy}.png`;
      files.set(free, blob);
    }
  }
  save("masks.zip", await zipped([...files]));
}

// What a person does.
const way = () => document.querySelector("input[name=way]:checked").value;

function showWay() {
  byId("frame").dataset.way = way();
  byId("frame").style.setProperty("--opacity", byId("opacity").value / 100);
  byId("opacity-value").textContent = percent(byId("opacity").value / 100, 0);
}

function setThreshold(value) {
  state.threshold = value;
  byId("threshold").value = value;
  byId("threshold-value").textContent = number(value, 3);
  byId("threshold-reset").disabled = value === settings.threshold;
  work();
}

function wire() {
  const choose = byId("choose");
  choose.addEventListener("change", () => {
    add(choose.files);
    choose.value = "";
  });
  for (const button of document.querySelectorAll(".choose")) button.addEventListener("click", () => choose.click());
  byId("remove").addEventListener("click", () => drop(state.current));
  byId("policy").addEventListener("change", event => {
    state.policy = event.target.value || null;
    for (const item of items) delete item.problem; // it may have been one of size
    showResult();
    work();
  });
  for (const input of document.querySelectorAll("input[name=way], #opacity")) input.addEventListener("input", showWay);
  document.querySelectorAll("#classes input").forEach(input => {
    input.addEventListener("change", () => {
      shown[input.value] = input.checked;
      if (state.current?.mask && state.seen === state.current.id) cover();
    });
  });
  document.querySelectorAll("#classes i").forEach((swatch, index) => {
    swatch.style.background = `rgb(${settings.classes[index].colour.join(" ")})`;
  });
  for (const name of ["larger", "smaller", "fit"]) byId(name).addEventListener("click", viewer[name]);
  byId("save-palette").addEventListener("click", () => saveMask(true));
  byId("save-grey").addEventListener("click", () => saveMask(false));
  byId("save-all").addEventListener("click", saveAll);
  byId("save-overlay").addEventListener("click", async () => {
    save(`${stem(state.current.name)}_overlay.png`, await viewer.picture(byId("opacity").value / 100, way()));
  });
  if (byId("threshold")) {
    byId("threshold").addEventListener("input", event => setThreshold(Number(event.target.value)));
    byId("threshold-reset").addEventListener("click", () => setThreshold(settings.threshold));
    setThreshold(settings.threshold);
  }
  document.querySelectorAll("#samples button").forEach((button, index) => {
    button.addEventListener("click", () => {
      const {name, data} = samples[index], plain = atob(data);
      add([new File([Uint8Array.from(plain, letter => letter.charCodeAt(0))], name, {type: "image/jpeg"})]);
    });
  });
  addEventListener("paste", event => add([...event.clipboardData.files].filter(file => file.type.startsWith("image/"))));
  for (const kind of ["dragenter", "dragover"]) addEventListener(kind, event => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", event => event.relatedTarget || document.body.classList.remove("dropping"));
  addEventListener("drop", event => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    add(event.dataTransfer.files);
  });
  showWay();
}

wire();
start().catch(error => say("start", true, {detail: String(error?.message ?? error)}));
