// Several files as one, stored without compression (the files are PNG).

import {crc32} from "./png.js";

const FROM_1980 = 0x21, UTF8_NAMES = 0x800;

// `files`: [name, Blob] each.
export async function zipped(files) {
  const parts = [], listed = [];
  let offset = 0;
  for (const [name, blob] of files) {
    const title = new TextEncoder().encode(name), bytes = new Uint8Array(await blob.arrayBuffer());
    // version, flags, method, time, date, checksum, sizes, lengths of name and extra field
    const common = [[20, 2], [UTF8_NAMES, 2], [0, 2], [0, 2], [FROM_1980, 2], [crc32(bytes), 4]];
    common.push([bytes.length, 4], [bytes.length, 4], [title.length, 2], [0, 2]);
    const own = record(0x04034b50, common);
    // made by, the same, comment, disk, attributes, where the file is
    listed.push(record(0x02014b50, [[20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), title);
    parts.push(own, title, bytes);
    offset += own.length + title.length + bytes.length;
  }
  const length = listed.reduce((total, part) => total + part.length, 0);
  const count = [files.length, 2];
  const end = record(0x06054b50, [[0, 2], [0, 2], count, count, [length, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...listed, end], {type: "application/zip"});
}

// A signature, then fields of (value, bytes), little-endian.
function record(signature, fields) {
  const bytes = [[signature, 4], ...fields].flatMap(([value, count]) =>
    Array.from({length: count}, (_, at) => Math.floor(value / 256 ** at) % 256));
  return Uint8Array.from(bytes);
}
