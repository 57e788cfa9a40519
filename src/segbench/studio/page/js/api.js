// Everything that is asked of the studio goes through here; an error is what people are told, a sentence.
import { t } from "./text.js";

export class StudioError extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

async function answered(response) {
  const body = (response.headers.get("content-type") || "").startsWith("application/json") ? await response.json() : null;
  if (!response.ok) {
    const told = body?.error ?? { code: "error", message: body?.detail?.[0]?.msg ?? response.statusText };
    throw new StudioError(response.status, told.code, told.message);
  }
  return body;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new StudioError(0, "lost", t("lost"));
  }
  return answered(response);
}

export const get = (path, signal) => ask(path, { signal });
export const send = (path, body, method = "POST", headers = {}) =>
  ask(path, { method, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
export const upload = (path, blob, method = "POST", headers = {}) => ask(path, { method, headers, body: blob });
