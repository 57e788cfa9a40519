// Labels as they travel: bytes, compressed with gzip.
import { StudioError } from "../api.js";

export async function fetchLabels(path) {
  const response = await fetch(path);
  if (!response.ok) {
    const { error } = await response.json();
    throw new StudioError(response.status, error.code, error.message);
  }
  return { data: new Uint8Array(await response.arrayBuffer()), version: Number(response.headers.get("x-version") ?? 0) };
}

export const packed = (data) => new Response(new Blob([data]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
