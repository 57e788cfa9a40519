// A mask in memory: labels of one plane, what changes them, and undo. Pure: no page, no canvas.
//
// Regions are runs [row, from, to], `to` not included, so that a brush on 20 megapixels costs what it paints. A step of
// undo keeps the tiles it changed as they were; a tile of one label is a number.

const MOST_UNDO = 100;
const TILE = 64;

export class Labels {
  constructor(height, width, data) {
    Object.assign(this, { height, width, data, done: [], undone: [], open: null, changes: 0, dirty: null });
    this.across = Math.ceil(width / TILE);
  }

  // Changes between begin and end are one step that can be undone.
  begin() {
    this.open = new Map();
  }

  end() {
    const step = new Map();
    for (const [tile, before] of this.open ?? []) {
      const now = this.#read(tile);
      if (before.some((label, n) => label !== now[n])) step.set(tile, plain(before));
    }
    this.open = null;
    if (!step.size) return false;
    this.done.push(step);
    if (this.done.length > MOST_UNDO) this.done.shift();
    this.undone = [];
    return true;
  }

  #swap(from, to) {
    if (this.open) this.end();
    const step = this[from].pop();
    if (!step) return false;
    this[to].push(new Map([...step.keys()].map((tile) => [tile, plain(this.#read(tile))])));
    for (const [tile, labels] of step) this.#write(tile, labels);
    return true;
  }

  undo = () => this.#swap("done", "undone");
  redo = () => this.#swap("undone", "done");

  // What changed since it was asked last, [x0, y0, x1, y1]; null: nothing.
  takeDirty() {
    const { dirty } = this;
    this.dirty = null;
    return dirty;
  }

  // Paints runs; `over` is null, or the only label that may be painted over (and the one that is painted).
  paint(runs, label, over = null) {
    for (const [row, from, to] of runs) {
      this.#touch(row, from, to);
      const start = row * this.width + from, end = row * this.width + to;
      if (over === null) this.data.fill(label, start, end);
      else for (let place = start; place < end; place++) if (this.data[place] === over) this.data[place] = label;
    }
  }

  // Takes the labels of another mask of the same size in runs.
  copy(runs, other) {
    for (const [row, from, to] of runs) {
      this.#touch(row, from, to);
      const start = row * this.width + from;
      this.data.set(other.subarray(start, start + to - from), start);
    }
  }

  // Runs within `radius` of the line from (x0, y0) to (x1, y1).
  *line(x0, y0, x1, y1, radius) {
    const low = (a, b) => Math.floor(Math.min(a, b) - radius), high = (a, b) => Math.ceil(Math.max(a, b) + radius);
    const [dx, dy] = [x1 - x0, y1 - y0];
    const long = dx * dx + dy * dy;
    const near = (x, y) => {
      const at = long ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / long)) : 0;
      const [px, py] = [x - x0 - at * dx, y - y0 - at * dy];
      return px * px + py * py <= radius * radius;
    };
    for (let y = Math.max(0, low(y0, y1)); y <= Math.min(this.height - 1, high(y0, y1)); y++) {
      let from = Math.max(0, low(x0, x1)), to = Math.min(this.width - 1, high(x0, x1)); // what is near is one piece
      while (from <= to && !near(from, y)) from++;
      while (to > from && !near(to, y)) to--;
      if (from <= to) yield [y, from, to + 1];
    }
  }

  // Runs whose centres lie inside a polygon [[x, y], ...] (even-odd rule).
  *inside(corners) {
    let first = Infinity, last = -Infinity;
    for (const [, y] of corners) (first = Math.min(first, y)), (last = Math.max(last, y));
    first = Math.max(0, Math.floor(first)), last = Math.min(this.height - 1, Math.ceil(last));
    for (let y = first; y <= last; y++) {
      const crossings = [];
      corners.forEach(([x0, y0], index) => {
        const [x1, y1] = corners[(index + 1) % corners.length];
        if (y0 <= y !== y1 <= y) crossings.push(x0 + ((y - y0) * (x1 - x0)) / (y1 - y0));
      });
      crossings.sort((a, b) => a - b);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        const from = Math.max(0, Math.ceil(crossings[pair])), to = Math.min(this.width - 1, Math.floor(crossings[pair + 1]));
        if (from <= to) yield [y, from, to + 1];
      }
    }
  }

  // The region of one label around a place (4 neighbours).
  region(start) {
    const { data, width } = this;
    const wanted = data[start], seen = new Uint8Array(data.length), found = [], waiting = [start];
    const free = (place) => data[place] === wanted && !seen[place];
    while (waiting.length) {
      const place = waiting.pop();
      if (seen[place]) continue;
      const row = Math.floor(place / width), left = row * width;
      let from = place, to = place + 1;
      while (from > left && free(from - 1)) from--;
      while (to < left + width && free(to)) to++;
      seen.fill(1, from, to);
      found.push([row, from - left, to - left]);
      for (const shift of [-width, width]) {
        if (from + shift < 0 || from + shift >= data.length) continue;
        let before = false;
        for (let next = from + shift; next < to + shift; next++) {
          const now = free(next);
          if (now && !before) waiting.push(next);
          before = now;
        }
      }
    }
    return found;
  }

  #touch(row, from, to) {
    this.changes++;
    this.#soil(from, row, to, row + 1);
    if (!this.open) return;
    const first = Math.floor(row / TILE) * this.across;
    for (let tile = first + Math.floor(from / TILE); tile <= first + Math.floor((to - 1) / TILE); tile++)
      if (!this.open.has(tile)) this.open.set(tile, this.#read(tile));
  }

  #soil(x0, y0, x1, y1) {
    const now = this.dirty ?? [x0, y0, x1, y1];
    this.dirty = [Math.min(now[0], x0), Math.min(now[1], y0), Math.max(now[2], x1), Math.max(now[3], y1)];
  }

  #box(tile) {
    const x = (tile % this.across) * TILE, y = Math.floor(tile / this.across) * TILE;
    return [x, y, Math.min(this.width, x + TILE), Math.min(this.height, y + TILE)];
  }

  #read(tile) {
    const [x0, y0, x1, y1] = this.#box(tile), wide = x1 - x0, labels = new Uint8Array(wide * (y1 - y0));
    for (let y = y0; y < y1; y++) labels.set(this.data.subarray(y * this.width + x0, y * this.width + x1), (y - y0) * wide);
    return labels;
  }

  #write(tile, labels) {
    const [x0, y0, x1, y1] = this.#box(tile), wide = x1 - x0;
    this.changes++;
    this.#soil(x0, y0, x1, y1);
    for (let y = y0; y < y1; y++) {
      const start = y * this.width + x0;
      if (typeof labels === "number") this.data.fill(labels, start, start + wide);
      else this.data.set(labels.subarray((y - y0) * wide, (y - y0 + 1) * wide), start);
    }
  }
}

const plain = (labels) => (labels.every((label) => label === labels[0]) ? labels[0] : labels);
