// A server's model from JavaScript: node serve_client.mjs http://127.0.0.1:8000 OUT_FOLDER PHOTO... (Node 20 or later)
// In a page the same works with files of an <input>; the server must be started with --origin of the page.
import { createWriteStream, openAsBlob } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const [address, out, ...photos] = process.argv.slice(2);
const token = process.env.SEGBENCH_TOKEN; // never in an address, so `fetch` and not `EventSource`
const headers = token ? { Authorization: `Bearer ${token}` } : {};
await mkdir(out, { recursive: true });

async function ask(path, options = {}) {
  const answer = await fetch(address + path, { headers, ...options });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer;
}

// One image at once: what it says, then its mask.
const photo = await openAsBlob(photos[0]);
const { areas } = await (await ask("/v1/predict", { method: "POST", body: photo })).json();
for (const [name, area] of Object.entries(areas)) console.log(`  ${name}: ${(100 * area.frac).toFixed(1)}%`);
const mask = await ask("/v1/predict?as=mask", { method: "POST", body: photo });
await writeFile(join(out, "mask.png"), Buffer.from(await mask.arrayBuffer()));

// Many or large ones as a job: send, watch, fetch, delete.
const form = new FormData();
for (const each of photos) form.append("files", await openAsBlob(each), basename(each));
const job = await (await ask("/v1/jobs?polygons=geojson", { method: "POST", body: form })).json();
const events = await ask(`/v1/jobs/${job.id}/events`);
let text = "";
for await (const part of events.body.pipeThrough(new TextDecoderStream())) {
  const lines = (text + part).split("\n");
  text = lines.pop();
  for (const line of lines.filter((each) => each.startsWith("data: "))) {
    const state = JSON.parse(line.slice("data: ".length));
    console.log(`  ${state.state}: ${state.done} of ${state.total}, ${state.failed} failed`);
  }
}
const archive = await ask(`/v1/jobs/${job.id}/result.zip`);
await pipeline(Readable.fromWeb(archive.body), createWriteStream(join(out, "result.zip")));
await ask(`/v1/jobs/${job.id}`, { method: "DELETE" });
console.log("written:", join(out, "mask.png"), join(out, "result.zip"));
