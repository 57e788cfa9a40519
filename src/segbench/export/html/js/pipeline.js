// From RGBA pixels to probabilities and a mask of the image's own size: what segbench/predict/pipeline.py does.

import {enlargeRows, resizePixels} from "./resize.js";
import {planSize} from "./sizes.js";
import {blendTiles, exactSpans, exactTiles, mirrored, tileStarts} from "./tiles.js";

const MULTICLASS = "multiclass";

// Probabilities of an image at the size the network sees: {count, height, width, data}, a plane after the other; or,
// of a large image whose classes exclude each other and that nothing enlarges, {mask} right away, to save memory. And the
//  `plan` it went by. `run(data, height, width)` -> {count, data}: the network's logits. `tell(done, total)` is told
// about progress, and awaited, so that a worker can hear what else is wanted.
export async function probabilitiesOf(image, settings, policy, run, tell) {
  const plan = planSize(settings, [image.height, image.width], policy);
  const pixels = resizePixels(image, plan.size), [height, width] = plan.size;
  const own = height === image.height && width === image.width;
  const direct = settings.task === MULTICLASS && own && plan.tile !== null;
  const mask = direct ? new Uint8Array(height * width) : null;
  let kept = null;
  await eachRows(pixels, plan, settings, run, tell, (top, rows, count, logits) => {
    const probs = probabilities(logits, count, settings);
    if (direct) {
      mask.set(decide({count, height: rows, width, data: probs}, [rows, width], settings), top * width);
      return;
    }
    kept ??= {count, height, width, data: new Float32Array(count * height * width)};
    for (let plane = 0; plane < count; plane++) {
      kept.data.set(probs.subarray(plane * rows * width, (plane + 1) * rows * width), (plane * height + top) * width);
    }
  });
  return direct ? {mask, plan} : {...kept, plan};
}

// Calls take(top, rows, count, logits) from top to bottom.
async function eachRows(pixels, plan, settings, run, tell, take) {
  const {height, width} = pixels, least = plan.policy === "resize" ? 1 : settings.min_size_px;
  const rows = mirrored(height, Math.max(least, plan.tile?.[0] ?? 0));
  const columns = mirrored(width, Math.max(least, plan.tile?.[1] ?? 0));
  let done = 0;
  const window = async (row, column, total) => {
    await tell(done++, total);
    return run(networkInput(pixels, settings.normalization, row, column), row.length, column.length);
  };
  const small = Math.min(height, width) < least; // as small as no network takes: mirrored, then cut
  if (!plan.tile || small) {
    const {count, data} = await window(rows, columns, 1);
    return take(0, height, count, small ? cutOut(data, count, rows.length, columns.length, height, width) : data);
  }
  if (settings.exact) {
    const {exact} = settings;
    const total = exactSpans(height, exact.tile[0], exact).length * exactSpans(width, exact.tile[1], exact).length;
    const part = (places, {first, last}) => places.subarray(first, last);
    return exactTiles([height, width], exact, (row, column) => window(part(rows, row), part(columns, column), total), take);
  }
  const [high, wide] = plan.tile, total = tileStarts(height, high).length * tileStarts(width, wide).length;
  return blendTiles([height, width], plan.tile, (top, left) =>
    window(rows.subarray(top, top + high), columns.subarray(left, left + wide), total), take);
}

function cutOut(data, count, high, wide, height, width) {
  const out = new Float32Array(count * height * width);
  for (let plane = 0; plane < count; plane++) {
    for (let row = 0; row < height; row++) {
      const from = (plane * high + row) * wide;
      out.set(data.subarray(from, from + width), (plane * height + row) * width);
    }
  }
  return out;
}

// Normalised values (3, rows, columns) of the pixels in these rows and columns.
function networkInput(pixels, {mean, std}, rows, columns) {
  const table = mean.map((each, channel) => Float32Array.from({length: 256}, (_, value) =>
    Math.fround(Math.fround(Math.fround(value / 255) - Math.fround(each)) / Math.fround(std[channel]))));
  const plane = rows.length * columns.length, out = new Float32Array(3 * plane);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * pixels.width + column) * 4;
      for (let channel = 0; channel < 3; channel++) out[channel * plane + at] = table[channel][pixels.data[from + channel]];
      at++;
    }
  }
  return out;
}

// Logits (count, pixels) -> probabilities, in place: softmax over the classes, or a sigmoid each.
function probabilities(logits, count, {task}) {
  if (task !== MULTICLASS) {
    for (let at = 0; at < logits.length; at++) logits[at] = 1 / (1 + Math.exp(-logits[at]));
    return logits;
  }
  const plane = logits.length / count;
  for (let pixel = 0; pixel < plane; pixel++) {
    let highest = -Infinity, sum = 0;
    for (let at = pixel; at < logits.length; at += plane) highest = Math.max(highest, logits[at]);
    for (let at = pixel; at < logits.length; at += plane) sum += logits[at] = Math.exp(logits[at] - highest);
    for (let at = pixel; at < logits.length; at += plane) logits[at] /= sum;
  }
  return logits;
}

// The mask at an image's size: class indices (height, width); multilabel: 0 and 1, a plane a class.
export function decide(probs, [height, width], {task, threshold}) {
  if (task === MULTICLASS) {
    const mask = new Uint8Array(height * width), best = new Float32Array(width);
    enlargeRows(probs, [height, width], (plane, row, values) => {
      const line = row * width;
      for (let column = 0; column < width; column++) {
        if (plane && values[column] <= best[column]) continue;
        best[column] = values[column];
        mask[line + column] = plane;
      }
    });
    return mask;
  }
  const mask = new Uint8Array(probs.count * height * width), limit = Math.fround(threshold);
  enlargeRows(probs, [height, width], (plane, row, values) => {
    const line = (plane * height + row) * width;
    for (let column = 0; column < width; column++) mask[line + column] = values[column] > limit ? 1 : 0;
  });
  return mask;
}

// Pixels of each class. Binary: of the background and of the foreground.
export function countPixels(mask, {task, classes}) {
  const counts = new Array(classes.length).fill(0);
  if (task === "multilabel") {
    const plane = mask.length / classes.length;
    for (let at = 0; at < mask.length; at++) counts[Math.floor(at / plane)] += mask[at];
  } else for (const value of mask) counts[value]++;
  return counts;
}
