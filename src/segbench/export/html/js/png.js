// PNG files, read and written exactly: a browser's own reader changes colours under transparency and by gamma.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}; // by colour type: grey, RGB, palette, grey and RGB with opacity

export function isPng(bytes) {
  return SIGNATURE.every((value, at) => bytes[at] === value);
}

// What a PNG says of itself before its pixels are read.
export function pngFacts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const facts = {data: [], palette: null, opacity: null, frames: 1, orientation: 1};
  for (let at = SIGNATURE.length; at + 8 <= bytes.length;) {
    const length = view.getUint32(at), kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") {
      facts.width = view.getUint32(at + 8);
      facts.height = view.getUint32(at + 12);
      [facts.depth, facts.colour, , , facts.interlaced] = body.subarray(8);
    } else if (kind === "PLTE") facts.palette = body;
    else if (kind === "tRNS") facts.opacity = body;
    else if (kind === "IDAT") facts.data.push(body);
    else if (kind === "acTL") facts.frames = view.getUint32(at + 8);
    else if (kind === "eXIf") facts.orientation = exifOrientation(body);
    at += 12 + length;
  }
  return facts;
}

// The EXIF orientation, 1 to 8, out of a TIFF header; 1 where there is none or it is damaged.
function exifOrientation(body) {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const little = body[0] === 0x49;
  try {
    const start = view.getUint32(4, little), entries = view.getUint16(start, little);
    for (let at = start + 2; at < start + 2 + 12 * entries; at += 12) {
      if (view.getUint16(at, little) === 0x0112) {
        const found = view.getUint16(at + 8, little);
        return found >= 1 && found <= 8 ? found : 1;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // metadata that is cut off says nothing about the pixels
  }
  return 1;
}

// RGBA bytes of a PNG that is not interlaced, as Pillow reads it: what is transparent is laid over black, the single
// transparent colour of a file without a palette is not looked at, and of 16 bits a colour the upper 8 are taken.
// `depthRange`: grey values (low, high) of 16 bits that become 0 and 255.
export async function readPng(facts, depthRange) {
  const {width, height, depth, colour} = facts, channels = CHANNELS[colour];
  const raw = await inflated(facts.data);
  const lineBytes = Math.ceil(width * channels * depth / 8);
  if (raw.length < height * (lineBytes + 1)) throw new Error("cut off");
  unfilter(raw, height, lineBytes, Math.max(1, channels * depth >> 3));
  const out = new Uint8Array(width * height * 4).fill(255);
  const sample = reader(raw, depth, depthRange && colour === 0 ? depthRange : null);
  const scale = colour === 3 || depth >= 8 ? 1 : 255 / (2 ** depth - 1);
  for (let row = 0, at = 0; row < height; row++) {
    const line = row * (lineBytes + 1) + 1;
    for (let column = 0; column < width; column++, at += 4) {
      const first = sample(line, column * channels) * scale;
      let red = first, green = first, blue = first, opacity = 255;
      if (colour === 3) {
        [red, green, blue] = [0, 1, 2].map(each => facts.palette[first * 3 + each] ?? 0);
        opacity = facts.opacity?.[first] ?? 255;
      } else if (channels >= 3) {
        green = sample(line, column * channels + 1);
        blue = sample(line, column * channels + 2);
      }
      if (channels % 2 === 0) opacity = sample(line, column * channels + channels - 1);
      out[at] = opacity === 255 ? red : Math.floor((red * opacity + 127) / 255);
      out[at + 1] = opacity === 255 ? green : Math.floor((green * opacity + 127) / 255);
      out[at + 2] = opacity === 255 ? blue : Math.floor((blue * opacity + 127) / 255);
    }
  }
  return turned({width, height, data: out}, facts.orientation);
}

// Returns (line, index) -> value, 0 to 255 but for palettes and fewer bits.
function reader(raw, depth, range) {
  if (depth === 8) return (line, index) => raw[line + index];
  if (depth === 16 && range) {
    const [black, white] = range;
    return (line, index) => {
      const value = raw[line + 2 * index] * 256 + raw[line + 2 * index + 1];
      return Math.min(255, Math.max(0, roundHalfEven((value - black) / (white - black) * 255)));
    };
  }
  if (depth === 16) return (line, index) => raw[line + 2 * index];
  return (line, index) => raw[line + (index * depth >> 3)] >> 8 - depth - (index * depth & 7) & 2 ** depth - 1;
}

export function roundHalfEven(value) {
  const below = Math.floor(value), rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

function unfilter(raw, height, lineBytes, step) {
  for (let row = 0; row < height; row++) {
    const start = row * (lineBytes + 1) + 1, kind = raw[start - 1], above = start - lineBytes - 1;
    if (kind === 0) continue;
    for (let at = 0; at < lineBytes; at++) {
      const left = at >= step ? raw[start + at - step] : 0;
      const up = row ? raw[above + at] : 0;
      const corner = row && at >= step ? raw[above + at - step] : 0;
      const guess = kind === 1 ? left : kind === 2 ? up : kind === 3 ? left + up >> 1 : paeth(left, up, corner);
      raw[start + at] += guess;
    }
  }
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const far = [left, up, corner].map(each => Math.abs(guess - each));
  if (far[0] <= far[1] && far[0] <= far[2]) return left;
  return far[1] <= far[2] ? up : corner;
}

// RGBA pixels turned upright, by their EXIF orientation.
function turned({width, height, data}, orientation) {
  if (orientation === 1) return {width, height, data};
  const swapped = orientation >= 5;
  const [wide, high] = swapped ? [height, width] : [width, height];
  const from = new Uint32Array(data.buffer), out = new Uint32Array(width * height);
  const upsideDown = [3, 4, 7, 8].includes(orientation), mirrored = [2, 3, 6, 7].includes(orientation);
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      const y = upsideDown ? high - 1 - row : row, x = mirrored ? wide - 1 - column : column;
      out[row * wide + column] = from[swapped ? x * width + y : y * width + x];
    }
  }
  return {width: wide, height: high, data: new Uint8Array(out.buffer)};
}

async function through(parts, stream) {
  return new Uint8Array(await new Response(new Blob(parts).stream().pipeThrough(stream)).arrayBuffer());
}

export function inflated(parts, format = "deflate") {
  return through(parts, new DecompressionStream(format));
}

// A PNG file of (height, width) class indices: with a palette of [red, green, blue] each, or as grey values.
export async function writePng(indices, width, height, palette) {
  const raw = new Uint8Array(height * (width + 1));
  for (let row = 0; row < height; row++) raw.set(indices.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, palette ? 3 : 0, 0, 0, 0], 8);
  const chunks = [chunk("IHDR", head)];
  if (palette) chunks.push(chunk("PLTE", Uint8Array.from(palette.flat())));
  chunks.push(chunk("IDAT", await through([raw], new CompressionStream("deflate"))), chunk("IEND", new Uint8Array()));
  return new Blob([Uint8Array.from(SIGNATURE), ...chunks], {type: "image/png"});
}

function chunk(kind, body) {
  const out = new Uint8Array(body.length + 12), view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  out.set([...kind].map(letter => letter.charCodeAt(0)), 4);
  out.set(body, 8);
  view.setUint32(body.length + 8, crc32(out.subarray(4, body.length + 8)));
  return out;
}

const CRC_TABLE = Uint32Array.from({length: 256}, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ value >>> 1 : value >>> 1;
  return value;
});

export function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC_TABLE[(sum ^ byte) & 255] ^ sum >>> 8;
  return (sum ^ 0xffffffff) >>> 0;
}
