// Masks cleaned as segbench/predict/postprocess.py does: holes, specks, all but the largest region, outlines.

// A mask (height, width) of class indices, or planes of 0 and 1, after the steps of `settings.postprocess`.
export function cleanMask(mask, height, width, {task, background, postprocess}) {
  if (!Object.values(postprocess).some(Boolean)) return mask;
  if (task !== "multilabel") {
    const classes = [...new Set(mask)].sort((a, b) => a - b).filter(index => index !== background);
    return cleaned(mask, height, width, classes, background, postprocess);
  }
  const size = height * width, out = new Uint8Array(mask.length);
  for (let start = 0; start < mask.length; start += size) {
    out.set(cleaned(mask.subarray(start, start + size), height, width, [1], 0, postprocess), start);
  }
  return out;
}

function cleaned(mask, height, width, classes, background, steps) {
  let labels = mask.slice();
  if (steps.fill_holes_px) for (const index of classes) fillHoles(labels, height, width, index, background, steps.fill_holes_px);
  if (steps.smallest_px || steps.keep_largest) {
    const taken = new Uint8Array(labels.length);
    for (const index of classes) takeSmall(labels, height, width, index, steps, taken);
    labels = asNearest(labels, height, width, taken, background);
  }
  return steps.smooth_px ? smoothed(labels, height, width, steps.smooth_px) : labels;
}

// Connected regions where `inside(at)`: {regions: number of each pixel, 0 outside; areas, by number}. Numbers grow from
// the first pixel of each region on.
function findRegions(height, width, inside, eight) {
  const regions = new Int32Array(height * width), areas = [0], stack = [];
  for (let start = 0; start < regions.length; start++) {
    if (regions[start] || !inside(start)) continue;
    const number = areas.push(0) - 1;
    regions[start] = number;
    stack.push(start);
    while (stack.length) {
      const at = stack.pop(), row = Math.floor(at / width), column = at % width;
      areas[number]++;
      for (let down = -1; down <= 1; down++) {
        for (let right = -1; right <= 1; right++) {
          if (!eight && down && right) continue;
          const y = row + down, x = column + right, next = y * width + x;
          if (y < 0 || x < 0 || y >= height || x >= width || regions[next] || !inside(next)) continue;
          regions[next] = number;
          stack.push(next);
        }
      }
    }
  }
  return {regions, areas};
}

// A hole is background (or anything, where there is none) that a class encloses and that does not reach the border.
function fillHoles(labels, height, width, index, background, largest) {
  const {regions, areas} = findRegions(height, width, at => labels[at] !== index, false);
  const fits = areas.map(area => area <= largest);
  for (let column = 0; column < width; column++) {
    fits[regions[column]] = fits[regions[(height - 1) * width + column]] = false;
  }
  for (let row = 0; row < height; row++) fits[regions[row * width]] = fits[regions[(row + 1) * width - 1]] = false;
  if (background !== null) labels.forEach((label, at) => { if (label !== background) fits[regions[at]] = false; });
  regions.forEach((number, at) => { if (number && fits[number]) labels[at] = index; });
}

function takeSmall(labels, height, width, index, {smallest_px: smallest, keep_largest: largest}, taken) {
  const {regions, areas} = findRegions(height, width, at => labels[at] === index, true);
  const biggest = areas.indexOf(areas.reduce((most, area) => Math.max(most, area), 0));
  regions.forEach((number, at) => {
    if (number && (areas[number] < smallest || (largest && number !== biggest))) taken[at] = 1;
  });
}

// Taken pixels get the label of the nearest other one (exact distances, Felzenszwalb and Huttenlocher 2012: a pass down
// every column, then the lower envelope of parabolas along every row).
function asNearest(labels, height, width, taken, background) {
  if (taken.every(Boolean)) return background === null ? labels : new Uint8Array(labels.length).fill(background);
  if (!taken.some(Boolean)) return labels;
  const nearestRow = new Int32Array(labels.length).fill(-1);
  for (let column = 0; column < width; column++) {
    for (let row = 0, seen = -1; row < height; row++) {
      if (!taken[row * width + column]) seen = row;
      nearestRow[row * width + column] = seen;
    }
    for (let row = height - 1, seen = -1; row >= 0; row--) {
      const at = row * width + column;
      if (!taken[at]) seen = row;
      if (seen >= 0 && (nearestRow[at] < 0 || seen - row < row - nearestRow[at])) nearestRow[at] = seen;
    }
  }
  const out = labels.slice(), places = new Int32Array(width), ends = new Float64Array(width + 1);
  for (let row = 0; row < height; row++) {
    const line = row * width, square = column => (row - nearestRow[line + column]) ** 2;
    let last = -1;
    for (let column = 0; column < width; column++) {
      if (nearestRow[line + column] < 0) continue;
      let meets = -Infinity;
      while (last >= 0) {
        const before = places[last];
        meets = (square(column) + column ** 2 - square(before) - before ** 2) / (2 * (column - before));
        if (meets > ends[last]) break;
        last--;
      }
      places[++last] = column;
      ends[last] = last ? meets : -Infinity;
    }
    for (let column = 0, place = 0; column < width; column++) {
      while (place < last && ends[place + 1] < column) place++;
      const from = places[place];
      if (taken[line + column]) out[line + column] = labels[nearestRow[line + from] * width + from];
    }
  }
  return out;
}

// The label that most pixels of a disc around each pixel have; a tie keeps the pixel's own. Beyond the border the
// border's pixels go on.
function smoothed(labels, height, width, radius) {
  const out = labels.slice(), best = new Float32Array(labels.length).fill(-1), sums = new Int32Array(width + 1);
  const reach = Array.from({length: 2 * radius + 1}, (_, at) => Math.floor(Math.sqrt(radius ** 2 - (at - radius) ** 2)));
  for (const index of [...new Set(labels)].sort((a, b) => a - b)) {
    const votes = new Float32Array(labels.length);
    for (let row = 0; row < height; row++) {
      for (let down = -radius; down <= radius; down++) {
        const line = Math.min(height - 1, Math.max(0, row + down)) * width, wide = reach[down + radius];
        for (let column = 0; column < width; column++) sums[column + 1] = sums[column] + (labels[line + column] === index);
        const first = labels[line] === index, end = labels[line + width - 1] === index;
        for (let column = 0; column < width; column++) {
          const left = column - wide, right = column + wide;
          let count = sums[Math.min(width, right + 1)] - sums[Math.max(0, left)];
          if (left < 0 && first) count -= left;
          if (right >= width && end) count += right - width + 1;
          votes[row * width + column] += count;
        }
      }
    }
    votes.forEach((count, at) => {
      const total = count + (labels[at] === index ? 0.5 : 0);
      if (total <= best[at]) return;
      best[at] = total;
      out[at] = index;
    });
  }
  return out;
}
