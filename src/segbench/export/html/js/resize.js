// Pixels at another size, as Pillow and torch compute them, so that a page and `segbench predict` see the same image.

const PRECISION_BITS = 22; // of Pillow's weights: 32 bits, less 8 of a pixel and 2 to spare

// Pillow's filters: how far they reach, in pixels of the smaller picture, and how much a pixel so far away weighs.
const BILINEAR = {reach: 1, weigh: away => Math.max(0, 1 - Math.abs(away))};
export const BOX = {reach: 0.5, weigh: away => away > -0.5 && away <= 0.5 ? 1 : 0};

// Weights along one side: for each new pixel the first old one under it, and shares that sum to 1.
export function pillowShares(side, wanted, {reach, weigh}) {
  const scale = side / wanted, wider = Math.max(scale, 1), support = reach * wider, narrower = 1 / wider;
  return Array.from({length: wanted}, (_, position) => {
    const centre = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(side, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let at = first; at < end; at++) weights.push(weigh((at - centre + 0.5) * narrower));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return {first, shares: weights.map(weight => weight / sum)};
  });
}

// The same as whole numbers that sum to about 2^22.
function pillowWeights(side, wanted, filter) {
  return pillowShares(side, wanted, filter).map(({first, shares}) =>
    ({first, weights: Int32Array.from(shares, share => Math.trunc(0.5 + share * 2 ** PRECISION_BITS))}));
}

// RGBA bytes (height x width) at another size, opaque. As Pillow: first across, rounded to bytes, then down; an image
// over 100 times as high as wide that becomes lower the other way round.
export function resizePixels(image, [height, width], filter = BILINEAR) {
  const downFirst = image.height > image.width * 100 && height < image.height;
  return downFirst ? resizeAcross(resizeDown(image, height, filter), width, filter)
    : resizeDown(resizeAcross(image, width, filter), height, filter);
}

function resizeAcross(image, width, filter) {
  if (image.width === width) return image;
  const {height} = image, wanted = pillowWeights(image.width, width, filter);
  const data = new Uint8Array(height * width * 4).fill(255);
  for (let row = 0, out = 0; row < height; row++) {
    for (const {first, weights} of wanted) {
      addUp(image.data, (row * image.width + first) * 4, 4, weights, data, out);
      out += 4;
    }
  }
  return {width, height, data};
}

function resizeDown(image, height, filter) {
  if (image.height === height) return image;
  const {width} = image, data = new Uint8Array(height * width * 4).fill(255);
  pillowWeights(image.height, height, filter).forEach(({first, weights}, row) => {
    for (let column = 0; column < width; column++) {
      addUp(image.data, (first * width + column) * 4, width * 4, weights, data, (row * width + column) * 4);
    }
  });
  return {width, height, data};
}

function addUp(data, from, step, weights, out, at) {
  const half = 2 ** (PRECISION_BITS - 1);
  let red = half, green = half, blue = half;
  for (let tap = 0; tap < weights.length; tap++, from += step) {
    const weight = weights[tap];
    red += data[from] * weight;
    green += data[from + 1] * weight;
    blue += data[from + 2] * weight;
  }
  out[at] = Math.min(255, red >> PRECISION_BITS);
  out[at + 1] = Math.min(255, green >> PRECISION_BITS);
  out[at + 2] = Math.min(255, blue >> PRECISION_BITS);
}

// Bilinear places along one side with pixel centres aligned, in float32 as torch has them.
function bilinearPlaces(side, wanted) {
  const scale = Math.fround(side / wanted);
  const first = new Int32Array(wanted), second = new Int32Array(wanted), share = new Float32Array(wanted);
  for (let position = 0; position < wanted; position++) {
    const source = Math.max(0, Math.fround(Math.fround(scale * (position + 0.5)) - 0.5));
    first[position] = Math.min(side - 1, Math.trunc(source));
    second[position] = Math.min(side - 1, first[position] + 1);
    share[position] = Math.min(1, Math.max(0, source - first[position]));
  }
  return {first, second, share};
}

// Calls take(plane, row, values) with the values of every row of every plane, enlarged to (height, width).
export function enlargeRows(planes, [height, width], take) {
  const rows = bilinearPlaces(planes.height, height), columns = bilinearPlaces(planes.width, width);
  const same = planes.height === height && planes.width === width;
  const values = new Float32Array(width);
  for (let row = 0; row < height; row++) {
    for (let plane = 0; plane < planes.count; plane++) {
      const start = plane * planes.height * planes.width;
      if (same) {
        take(plane, row, planes.data.subarray(start + row * width, start + (row + 1) * width));
        continue;
      }
      const above = start + rows.first[row] * planes.width, below = start + rows.second[row] * planes.width;
      const down = rows.share[row];
      for (let column = 0; column < width; column++) {
        const left = columns.first[column], right = columns.second[column], across = columns.share[column];
        const top = planes.data[above + left] * (1 - across) + planes.data[above + right] * across;
        const bottom = planes.data[below + left] * (1 - across) + planes.data[below + right] * across;
        values[column] = top * (1 - down) + bottom * down;
      }
      take(plane, row, values);
    }
  }
}
