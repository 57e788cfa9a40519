// What a card says of an image: the score to expect of its mask (segbench/predict/doubt.py), and in what it is unlike
// those that the network learnt from (segbench/predict/unlike.py).

import {roundHalfEven} from "./png.js";
import {BOX, pillowShares, resizePixels} from "./resize.js";

const SIDE_PX = 256, COARSE = 4, NAMED = 3, LARGER = 2; // binary logarithm of four times as large
const mean = values => values.reduce((total, value) => total + value, 0) / values.length;
const deviation = values => {
  const middle = mean(values);
  return Math.sqrt(mean(values.map(value => (value - middle) ** 2)));
};

// [value, low, high], 0 to 1; null where the card tells nothing, no class was found, or no probabilities were kept.
export function expectedScore(probs, mask, [height, width], {task, expected, scored}) {
  if (!expected || !probs.data) return null;
  const sums = scored.map(() => [0, 0]), size = probs.height * probs.width;
  for (let row = 0; row < probs.height; row++) {
    const line = Math.floor((row + 0.5) * height / probs.height) * width;
    for (let column = 0; column < probs.width; column++) {
      const at = line + Math.floor((column + 0.5) * width / probs.width);
      scored.forEach((index, place) => {
        const there = task === "multilabel" ? mask[index * height * width + at] === 1 : mask[at] === index;
        if (!there) return;
        sums[place][0] += probs.data[(task === "binary" ? 0 : index) * size + row * probs.width + column];
        sums[place][1]++;
      });
    }
  }
  const sure = sums.filter(([, count]) => count).map(([sum, count]) => sum / count);
  if (!sure.length) return null;
  const value = expected.intercept + expected.slope * mean(sure);
  return [0, expected.below, expected.above].map(more => Math.min(1, Math.max(0, value + more)));
}

// Reasons, for people; null where the image is like those of training, or nobody knows. `known`: the statistics of the
// training part, and the words for more and less of each number.
export function unlikeTraining(image, known) {
  if (!known) return null;
  const found = imageFeatures(image), reasons = [];
  if (found.size > known.size[1] + LARGER) reasons.push(known.much_larger);
  if (found.size < known.size[0] - LARGER) reasons.push(known.much_smaller);
  const away = known.names.map((name, index) => ((found[name] ?? NaN) - known.mean[index]) / known.sd[index]);
  const squared = away.reduce((sum, one, row) =>
    sum + away.reduce((part, other, column) => part + one * known.inverse[row][column] * other, 0), 0);
  if (!(Math.sqrt(Math.max(squared, 0)) <= known.limit)) {
    const least = away.some(each => Math.abs(each) >= 3) ? 3 : 1; // standard deviations
    const named = away.flatMap((each, index) => Math.abs(each) >= least ? [known[each > 0 ? "more" : "less"][index]] : []);
    reasons.push(...named.slice(0, NAMED));
    if (!reasons.length) reasons.push(known.together);
  }
  return reasons.length ? reasons : null;
}

export function imageFeatures(image) {
  const shrunk = Math.min(1, SIDE_PX / Math.max(image.height, image.width));
  const height = Math.max(1, roundHalfEven(image.height * shrunk)), width = Math.max(1, roundHalfEven(image.width * shrunk));
  const {data} = resizePixels(image, [height, width], BOX);
  const planes = [0, 1, 2].map(channel => Array.from({length: height * width}, (_, at) => data[at * 4 + channel] / 255));
  const [red, green, blue] = planes, grey = red.map((value, at) => (value + green[at] + blue[at]) / 3);
  const redGreen = red.map((value, at) => value - green[at]);
  const yellowBlue = red.map((value, at) => (value + green[at]) / 2 - blue[at]);
  const [low, middle, high] = quantiles(grey, [0.05, 0.5, 0.95]);
  const inside = side => [Math.floor(side / 4), side - Math.floor(side / 4)];
  const [[top, bottom], [left, right]] = [inside(height), inside(width)];
  const centre = grey.filter((_, at) => {
    const row = Math.floor(at / width), column = at % width;
    return row >= top && row < bottom && column >= left && column < right;
  });
  const coarse = [height, width].map(side => Math.max(1, Math.floor(side / COARSE)));
  return {
    brightness: mean(grey),
    red_green: mean(redGreen),
    yellow_blue: mean(yellowBlue),
    colour: Math.hypot(deviation(redGreen), deviation(yellowBlue)),
    contrast: deviation(grey),
    sharpness: logSharpness(grey, [height, width]),
    coarse_sharpness: logSharpness(boxMeans(grey, [height, width], coarse), coarse),
    dark: low - middle,
    light: high - middle,
    centre: mean(centre) - mean(grey),
    size: Math.log2(image.height * image.width) / 2,
  };
}

function quantiles(values, shares) {
  const sorted = Float64Array.from(values).sort();
  return shares.map(share => {
    const place = share * (sorted.length - 1), below = Math.floor(place);
    return sorted[below] + (sorted[Math.min(sorted.length - 1, below + 1)] - sorted[below]) * (place - below);
  });
}

function boxMeans(values, [height, width], [high, wide]) {
  const across = pillowShares(width, wide, BOX), down = pillowShares(height, high, BOX);
  return down.flatMap(({first: top, shares: rows}) => across.map(({first: left, shares: columns}) =>
    rows.reduce((sum, row, y) => sum + row * columns.reduce((part, share, x) =>
      part + share * values[(top + y) * width + left + x], 0), 0)));
}

// Logarithm of the mean absolute Laplacian; beyond the border its own pixels are mirrored.
function logSharpness(values, [height, width]) {
  let sum = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column, own = values[at];
      const near = [row ? at - width : at, row < height - 1 ? at + width : at, column ? at - 1 : at, column < width - 1 ? at + 1 : at];
      sum += Math.abs(near.reduce((total, each) => total + values[each], 0) - 4 * own);
    }
  }
  return Math.log(sum / values.length + 1e-4);
}
