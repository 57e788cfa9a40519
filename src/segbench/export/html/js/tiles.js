// Whole images through a network in tiles, as segbench/predict/tiles.py cuts and blends them.

import {roundHalfEven} from "./png.js";

const OVERLAP = 0.25; // of a tile with its neighbour, at least

// Where tiles begin along a side: from 0 to the end, evenly spread.
export function tileStarts(side, tile) {
  if (side <= tile) return [0];
  const count = 1 + Math.ceil((side - tile) / Math.max(1, roundHalfEven(tile * (1 - OVERLAP))));
  const step = (side - tile) / (count - 1);
  return Array.from({length: count}, (_, at) => at === count - 1 ? side - tile : roundHalfEven(at * step));
}

// Which pixels of a side lie under max(side, length) positions, mirrored at its edges.
export function mirrored(side, length) {
  return Int32Array.from({length: Math.max(side, length)}, (_, at) => {
    const position = at % (2 * side);
    return Math.min(position, 2 * side - 1 - position);
  });
}

// 1, 2, ... up to the middle and down to 1 again.
function ramp(length) {
  return Float64Array.from({length}, (_, at) => Math.min(at + 1, length - at));
}

// Blends the logits of tiles. `run(top, left)` -> {count, data}: logits of the tile whose upper left corner is there.
// `take(top, rows, count, data)` gets finished rows (count, rows, width) in order, so that no more is kept than two
// rows of tiles.
export async function blendTiles([height, width], tile, run, take) {
  const tops = tileStarts(height, tile[0]), lefts = tileStarts(width, tile[1]);
  const full = Math.max(width, tile[1]), [down, across] = tile.map(ramp);
  let carried = null;
  for (const [row, top] of tops.entries()) {
    const strip = await blendRow(lefts, full, tile, across, left => run(top, left));
    const weights = down.slice();
    for (let plane = 0, at = 0; plane < strip.count; plane++) {
      for (let line = 0; line < tile[0]; line++) {
        for (let column = 0; column < full; column++, at++) strip.data[at] *= down[line];
      }
    }
    if (carried) {
      for (let plane = 0; plane < strip.count; plane++) {
        const kept = carried.data.subarray(plane * carried.rows * full, (plane + 1) * carried.rows * full);
        const start = plane * tile[0] * full;
        for (let at = 0; at < kept.length; at++) strip.data[start + at] += kept[at];
      }
      carried.weights.forEach((weight, line) => { weights[line] += weight; });
    }
    const following = tops[row + 1] ?? Math.max(height, tile[0]);
    const done = following - top, rows = Math.min(following, height) - top;
    const finished = new Float32Array(strip.count * rows * width);
    for (let plane = 0, at = 0; plane < strip.count; plane++) {
      for (let line = 0; line < rows; line++) {
        const start = (plane * tile[0] + line) * full;
        for (let column = 0; column < width; column++, at++) finished[at] = strip.data[start + column] / weights[line];
      }
    }
    take(top, rows, strip.count, finished);
    carried = {rows: tile[0] - done, weights: weights.slice(done), data: below(strip, tile[0], full, done)};
  }
}

function below(strip, high, full, done) {
  const kept = new Float64Array(strip.count * (high - done) * full);
  for (let plane = 0; plane < strip.count; plane++) {
    const from = strip.data.subarray((plane * high + done) * full, (plane + 1) * high * full);
    kept.set(from, plane * (high - done) * full);
  }
  return kept;
}

// A row of tiles, blended across: (count, high, full) in float64.
async function blendRow(lefts, full, [high, wide], across, run) {
  let data = null, count = 0;
  const weights = new Float64Array(full);
  for (const left of lefts) {
    const logits = await run(left);
    count = logits.count;
    data ??= new Float64Array(count * high * full);
    for (let line = 0, from = 0; line < count * high; line++) {
      const start = line * full + left;
      for (let column = 0; column < wide; column++, from++) data[start + column] += logits.data[from] * across[column];
    }
    for (let column = 0; column < wide; column++) weights[left + column] += across[column];
  }
  for (let line = 0, at = 0; line < count * high; line++) {
    for (let column = 0; column < full; column++, at++) data[at] /= weights[column];
  }
  return {count, data};
}

// Exact tiles along a side: pixels [first, last) go in, [start, stop) are kept. Where it is known how far the network
// looks, they give what the whole image gives.
export function exactSpans(side, tile, {halo_px: halo, stride_px: stride, smallest_px: smallest}) {
  if (side <= tile) return [{first: 0, last: side, start: 0, stop: side}];
  const core = tile - 2 * halo, spans = [];
  for (let start = 0; start < side; start += core) {
    const last = Math.min(side, start + core + halo);
    const enough = Math.floor(Math.max(0, last - smallest) / stride) * stride; // else the network pads a short last one
    spans.push({first: Math.min(Math.max(0, start - halo), enough), last, start, stop: Math.min(side, start + core)});
  }
  return spans;
}

// Calls take(top, rows, count, data) with finished rows (count, rows, width). `run(row, column)` gives the logits of the
// tile that these spans cut out.
export async function exactTiles([height, width], cut, run, take) {
  const columns = exactSpans(width, cut.tile[1], cut);
  for (const row of exactSpans(height, cut.tile[0], cut)) {
    const rows = row.stop - row.start;
    let data = null, count = 0;
    for (const column of columns) {
      const logits = await run(row, column), wide = column.last - column.first, high = row.last - row.first;
      count = logits.count;
      data ??= new Float32Array(count * rows * width);
      for (let plane = 0; plane < count; plane++) {
        for (let line = 0; line < rows; line++) {
          const from = (plane * high + row.start - row.first + line) * wide + column.start - column.first;
          const kept = logits.data.subarray(from, from + column.stop - column.start);
          data.set(kept, (plane * rows + line) * width + column.start);
        }
      }
    }
    take(row.start, rows, count, data);
  }
}
