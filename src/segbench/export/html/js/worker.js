// Runs beside the page, so that it never freezes: decodes images and puts them through the network. `ort` is
// onnxruntime-web, which stands before this code.

import {cleanMask} from "./clean.js";
import {decodeImage, ImageProblem, unpacked} from "./decode.js";
import {expectedScore, unlikeTraining} from "./judge.js";
import {countPixels, decide, probabilitiesOf} from "./pipeline.js";

const MOST_KEPT = 200e6; // values of probabilities that are kept for another threshold

let settings, session;
const kept = new Map(); // of images, by number: probabilities, and how they came about
let decoded = {id: null, image: null}; // the last one
let queue = Promise.resolve();

addEventListener("message", ({data}) => {
  if (data.do === "forget") kept.delete(data.id);
  else queue = queue.then(() => answer(data)); // `answer` never throws
});

async function answer(request) {
  try {
    if (request.do === "start") await start(request);
    else if (request.do === "pixels") sendPixels(request.id, await pixelsOf(request));
    else await segment(request);
  } catch (error) {
    const problem = error instanceof ImageProblem ? error.problem : request.do === "start" ? "start" : "failed";
    postMessage({told: "problem", id: request.id ?? null, problem, detail: String(error?.message ?? error)});
  }
}

async function start(request) {
  settings = request.settings;
  ort.env.wasm.numThreads = 1; // more need a server that isolates the page
  ort.env.wasm.wasmBinary = await unpacked(request.runtime);
  session = await ort.InferenceSession.create(await unpacked(request.network), {executionProviders: ["wasm"]});
  postMessage({told: "ready"});
}

async function pixelsOf({id, file}) {
  if (decoded.id !== id) decoded = {id, image: await decodeImage(file, settings.depth_range)};
  return decoded.image;
}

function sendPixels(id, image) {
  const data = new Uint8ClampedArray(image.data);
  postMessage({told: "pixels", id, width: image.width, height: image.height, data}, [data.buffer]);
}

async function run(data, height, width) {
  const image = new ort.Tensor("float32", data, [1, 3, height, width]);
  const {logits} = await session.run({image});
  return {count: logits.dims[1], data: logits.data};
}

async function segment(request) {
  const {id, policy, threshold} = request, image = await pixelsOf(request), size = [image.height, image.width];
  sendPixels(id, image);
  let found = kept.get(id), ms = null;
  const began = performance.now();
  if (found?.policy !== policy) {
    const tell = (done, total) => {
      postMessage({told: "progress", id, done, total});
      return new Promise(resolve => setTimeout(resolve));
    };
    found = {...await probabilitiesOf(image, settings, policy, run, tell), policy};
    keep(id, found);
    ms = 0;
  }
  const decided = found.mask?.slice() ?? decide(found, size, {...settings, threshold});
  const mask = cleanMask(decided, ...size, settings);
  if (ms !== null) ms = performance.now() - began;
  const counts = countPixels(mask, settings), expected = expectedScore(found, mask, size, settings);
  const unlike = unlikeTraining(image, settings.unlike);
  const told = {told: "mask", id, mask, counts, expected, unlike, ms, threshold, policy, plan: found.plan};
  postMessage(told, [mask.buffer]);
}

function keep(id, found) {
  kept.set(id, found);
  let total = 0;
  for (const [each, {data, mask}] of [...kept].reverse()) {
    total += data?.length ?? mask.length / 4;
    if (total > MOST_KEPT && each !== id) kept.delete(each);
  }
}
