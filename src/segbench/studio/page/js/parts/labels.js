// A mask in memory: labels of one plane, what changes them, and undo. Pure: no page, no canvas.

const MOST_UNDO = 100;

export class Labels {
  constructor(height, width, data) {
    Object.assign(this, { height, width, data, done: [], undone: [], open: null });
  }

  // Changes between begin and end are one step that can be undone.
  begin() {
    this.open = new Map();
  }

  end() {
    if (!this.open?.size) return (this.open = null), false;
    this.done.push(this.open);
    if (this.done.length > MOST_UNDO) this.done.shift();
    this.undone = [];
    this.open = null;
    return true;
  }

  set(place, label) {
    if (this.data[place] === label) return;
    if (this.open && !this.open.has(place)) this.open.set(place, this.data[place]);
    this.data[place] = label;
  }

  #swap(from, to) {
    const step = from.pop();
    if (!step) return false;
    const back = new Map();
    for (const [place, label] of step) {
      back.set(place, this.data[place]);
      this.data[place] = label;
    }
    to.push(back);
    return true;
  }

  undo = () => this.#swap(this.done, this.undone);
  redo = () => this.#swap(this.undone, this.done);

  // May a pixel be painted? `over` is null, or the only label that may be painted over (and the one that is painted).
  paint(places, label, over = null) {
    for (const place of places) if (over === null || this.data[place] === over || this.data[place] === label) this.set(place, label);
  }

  // Places within `radius` of the line from (x0, y0) to (x1, y1), whole pixels.
  *line(x0, y0, x1, y1, radius) {
    const low = (a, b) => Math.floor(Math.min(a, b) - radius), high = (a, b) => Math.ceil(Math.max(a, b) + radius);
    const [dx, dy] = [x1 - x0, y1 - y0];
    const long = dx * dx + dy * dy;
    for (let y = Math.max(0, low(y0, y1)); y <= Math.min(this.height - 1, high(y0, y1)); y++)
      for (let x = Math.max(0, low(x0, x1)); x <= Math.min(this.width - 1, high(x0, x1)); x++) {
        const at = long ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / long)) : 0;
        const [px, py] = [x - x0 - at * dx, y - y0 - at * dy];
        if (px * px + py * py <= radius * radius) yield y * this.width + x;
      }
  }

  // Places whose centre lies inside a polygon [[x, y], ...] (even-odd rule).
  *inside(corners) {
    const rows = corners.map(([, y]) => y);
    const first = Math.max(0, Math.floor(Math.min(...rows))), last = Math.min(this.height - 1, Math.ceil(Math.max(...rows)));
    for (let y = first; y <= last; y++) {
      const crossings = [];
      corners.forEach(([x0, y0], index) => {
        const [x1, y1] = corners[(index + 1) % corners.length];
        if (y0 <= y !== y1 <= y) crossings.push(x0 + ((y - y0) * (x1 - x0)) / (y1 - y0));
      });
      crossings.sort((a, b) => a - b);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2)
        for (let x = Math.max(0, Math.ceil(crossings[pair])); x <= Math.min(this.width - 1, Math.floor(crossings[pair + 1])); x++)
          yield y * this.width + x;
    }
  }

  // The region of one label around a place (4 neighbours).
  region(start) {
    const wanted = this.data[start], seen = new Uint8Array(this.data.length), found = [], waiting = [start];
    seen[start] = 1;
    while (waiting.length) {
      const place = waiting.pop(), x = place % this.width;
      found.push(place);
      for (const next of [x > 0 ? place - 1 : -1, x < this.width - 1 ? place + 1 : -1, place - this.width, place + this.width])
        if (next >= 0 && next < seen.length && !seen[next] && this.data[next] === wanted) (seen[next] = 1), waiting.push(next);
    }
    return found;
  }
}
