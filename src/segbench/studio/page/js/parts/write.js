// The data set with its corrected masks, written in its own format or another, and what was read back.
import { html, useEffect, useRef, useState } from "../html.js";
import { send } from "../api.js";
import { lang, t } from "../text.js";
import { Choice } from "./choice.js";

const ASK_EVERY_MS = 500;

export function Write({ place, corrected }) {
  const [there, setThere] = useState(null);
  const [to, setTo] = useState("");
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  if (place.read_only || !corrected?.samples.length) return null;
  const look = async () => {
    const found = await send(`/api/correct/write?lang=${lang}`, { to }).catch((error) => ({ state: "error", told: error.message }));
    setThere((before) => ({ formats: before?.formats, ...found }));
    if (found.state === "working") timer.current = setTimeout(look, ASK_EVERY_MS);
  };
  const value = there?.state === "ready" ? there.value : null;
  return html`<div class="bar"><button disabled=${there?.state === "working"} onClick=${look}>${t("write_set")}</button>
    ${there?.formats && html`<${Choice} label=${t("format")} value=${to || there.to} onChange=${setTo} options=${there.formats.map((each) => [each, each])} />`}
    ${there?.state === "working" && html`<progress aria-label=${t("saving")} value=${there.total ? there.done : null} max=${there.total || null}></progress>`}
    ${there?.state === "error" && html`<span class="alarm" role="alert">${there.told}</span>`}
    ${value && html`<span role="status">${value.told}. <code>${value.path}</code></span> <details><summary>${t("command")}</summary><code>${value.command}</code>
      ${value.notes.map((note) => html`<p>${note}</p>`)}</details>`}</div>`;
}
