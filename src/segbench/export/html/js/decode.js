// Image files -> RGBA pixels, opaque and upright.

import {inflated, isPng, pngFacts, readPng} from "./png.js";

const MOST_PIXELS = 50e6, LONGEST_SIDE = 16384; // what browsers draw

// `problem`: key of the sentence that tells what is the matter with the file.
export class ImageProblem extends Error {
  constructor(problem) {
    super(problem);
    this.problem = problem;
  }
}

export async function decodeImage(file, depthRange) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!bytes.length) throw new ImageProblem("empty");
  if (!isPng(bytes)) return browserPixels(file);
  const facts = pngFacts(bytes);
  checkSize(facts.width, facts.height);
  if (facts.frames > 1) throw new ImageProblem("frames");
  if (facts.depth === 16 && facts.colour === 0 && !depthRange) throw new ImageProblem("deep");
  if (facts.interlaced) return browserPixels(file);
  try {
    return await readPng(facts, depthRange);
  } catch {
    throw new ImageProblem("damaged");
  }
}

function checkSize(width, height) {
  if (!width || !height) throw new ImageProblem("damaged");
  if (width * height > MOST_PIXELS || Math.max(width, height) > LONGEST_SIDE) throw new ImageProblem("large");
}

// By the browser, with EXIF orientation, without colour profiles, what is transparent laid over black.
async function browserPixels(file) {
  let picture;
  try {
    picture = await createImageBitmap(file, {colorSpaceConversion: "none", imageOrientation: "from-image"});
  } catch {
    throw new ImageProblem("unknown");
  }
  const {width, height} = picture;
  checkSize(width, height);
  const context = new OffscreenCanvas(width, height).getContext("2d", {alpha: false, willReadFrequently: true});
  context.drawImage(picture, 0, 0);
  picture.close();
  return {width, height, data: new Uint8Array(context.getImageData(0, 0, width, height).data.buffer)};
}

// Bytes out of gzip and base64, as the page holds the runtime and the network.
export async function unpacked(text) {
  const plain = atob(text), bytes = new Uint8Array(plain.length);
  for (let at = 0; at < plain.length; at++) bytes[at] = plain.charCodeAt(at);
  return inflated([bytes], "gzip");
}
