// A training repeated on the corrected masks, and what it gained on the untouched test part; also after the page or the studio was
// opened again.
import { html, useEffect, useState } from "../html.js";
import { get, send } from "../api.js";
import { lang, number, t } from "../text.js";
import { Choice } from "./choice.js";
import { TaskLine } from "./task.js";
import { useAnswer } from "./use.js";

const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + number(Math.abs(value));

export function Retrain({ place, corrected }) {
  const [task, setTask] = useState(null);
  const [gain, setGain] = useState(null);
  const [error, setError] = useState("");
  const [run, setRun] = useState("");
  const { value: runs } = useAnswer("/api/runs");
  const names = (runs ?? []).filter((each) => each.state === "finished").map((each) => each.name);
  const chosen = run || names[0];
  const isShown = !place.read_only && corrected?.samples.length > 0 && chosen;
  const tell = (quiet) => get(`/api/correct/result/${encodeURIComponent(chosen)}?lang=${lang}&quiet=${quiet}`).then(setGain, (problem) => quiet || setError(problem.message));
  useEffect(() => {
    if (!isShown) return;
    setTask(null), setGain(null), setError("");
    get("/api/tasks").then((tasks) => setTask(tasks.find((each) => each.running && each.about.startsWith(`${chosen}_corrected`)) ?? null), () => null);
    tell(true);
  }, [isShown, chosen]);
  if (!isShown) return null;
  const start = () => (setError(""), setGain(null), send(`/api/correct/retrain?lang=${lang}`, { run: chosen }).then(setTask, (problem) => setError(problem.message)));
  const ended = (now) => (now.failed || now.stopped || now.killed ? null : tell(false));
  return html`<div class="bar"><${Choice} label=${t("retrain_of")} value=${chosen} onChange=${setRun} options=${names.map((name) => [name, name])} />
    <button onClick=${start}>${t("retrain")}</button>${task && html`<${TaskLine} key=${task.id} task=${task} mayStop=${true} onEnd=${ended} />`}
    ${gain && html`<strong class="gain">${t("gain", { n: gain.images, value: signed(gain.difference), low: signed(gain.low), high: signed(gain.high),
      told: t(gain.shown ? "is_shown" : "not_shown") })}</strong> <details><summary>${t("command")}</summary><code>${gain.command}</code></details>`}
    ${error && html`<span class="alarm" role="alert">${error}</span>`}</div>`;
}
