// Labels as they travel: bytes, compressed with gzip.
import { asked } from "../api.js";

export async function fetchLabels(path) {
  const response = await asked(path);
  return { data: new Uint8Array(await response.arrayBuffer()), version: Number(response.headers.get("x-version") ?? 0) };
}

export const packed = (data) => new Response(new Blob([data]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
