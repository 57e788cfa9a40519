// Everything that is asked of the studio goes through here; an error is what people are told, a sentence.
import { t } from "./text.js";

export class StudioError extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

// Returns the response; a StudioError where there is none, or it tells what is wrong.
export async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new StudioError(0, "lost", t("lost"));
  }
  if (response.ok) return response;
  if (response.status === 401) throw new StudioError(401, "closed", t("closed")); // the studio was started again
  const body = isJson(response) ? await response.json() : null;
  const told = body?.error ?? { code: "error", message: body?.detail?.[0]?.msg ?? response.statusText };
  throw new StudioError(response.status, told.code, told.message);
}

const isJson = (response) => (response.headers.get("content-type") || "").startsWith("application/json");

async function ask(path, options) {
  const response = await asked(path, options);
  return isJson(response) ? response.json() : null;
}

// May the same be asked again later? Yes where the studio is gone, was started again, or cannot write.
export const mayPass = (error) => error.code === "lost" || error.code === "closed" || error.status >= 500;

export const get = (path, signal) => ask(path, { signal });
export const send = (path, body, method = "POST", headers = {}) =>
  ask(path, { method, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
export const upload = (path, blob, method = "POST", headers = {}) => ask(path, { method, headers, body: blob });
