// A new training: the config that suits the data, its main keys as fields, all of it as text; checked while one types.
import { html, useEffect, useRef, useState } from "../html.js";
import { get, send } from "../api.js";
import { lang, t } from "../text.js";
import { TaskLine } from "./task.js";

const CHECK_AFTER_MS = 400;
const ASK_EVERY_MS = 500;

export function NewRun({ place, onStart }) {
  const [open, setOpen] = useState(false);
  const [task, setTask] = useState(null);
  const begun = (started) => { setOpen(false), setTask(started), onStart?.(); };
  if (place.read_only || place.kind !== "data") return null;
  if (place.reading.state !== "ready") return html`<p class="faint">${t("starting")}</p>`;
  return html`<section class="new"><button aria-expanded=${open} onClick=${() => setOpen(!open)}>${t("new_training")}</button>
    ${task && html`<${TaskLine} key=${task.id} task=${task} mayStop=${true} onEnd=${onStart} />`}
    ${open && html`<${Form} begun=${begun} />`}</section>`;
}

function Form({ begun }) {
  const [first, setFirst] = useState(null);
  const [draft, setDraft] = useState(null);
  const [error, setError] = useState("");
  const timer = useRef(null);
  const latest = useRef(null); // the draft that the next change is made on
  const turn = useRef(Promise.resolve()); // one check after the other, so that no change is lost
  const put = (now) => { latest.current = now; setDraft(now); };
  const check = (changes = {}) => {
    turn.current = turn.current.then(async () => {
      const { yaml } = latest.current;
      try {
        const found = await send(`/api/new/check?lang=${lang}`, { yaml, changes });
        if (latest.current.yaml === yaml) put(found), setError(""); // else more was typed meanwhile, and is checked next
      } catch (problem) {
        setError(problem.message);
      }
    });
    return turn.current;
  };
  useEffect(() => {
    let gone = false;
    const look = async () => {
      const found = await get(`/api/new?lang=${lang}`).catch((problem) => ({ state: "error", told: problem.message }));
      if (gone) return;
      setFirst(found);
      if (found.state === "working") timer.current = setTimeout(look, ASK_EVERY_MS);
      if (found.state === "ready") latest.current = { yaml: found.value }, check();
    };
    look();
    return () => { gone = true; clearTimeout(timer.current); };
  }, []);
  if (first?.state === "error") return html`<p class="alarm" role="alert">${first.told}</p>`;
  if (!draft) return html`<p class="faint" aria-live="polite">${first?.what ? t("reading", first) : t("config_made")}
    <progress value=${first?.total ? first.done : null} max=${first?.total || null}></progress> ${error}</p>`;
  const typed = (yaml) => {
    put({ ...latest.current, yaml, command: "" });
    clearTimeout(timer.current);
    timer.current = setTimeout(check, CHECK_AFTER_MS);
  };
  const train = async () => {
    clearTimeout(timer.current);
    await check(); // with what was typed last
    if (latest.current.command) await send(`/api/new/start?lang=${lang}`, { yaml: latest.current.yaml }).then(begun, (problem) => setError(problem.message));
  };
  const isOf = (field) => draft.error && (draft.key === field.key || draft.key.startsWith(`${field.key}.`));
  const elsewhere = draft.error && !first.fields.some(isOf);
  const where = [draft.line ? t("line_n", { n: draft.line }) : "", draft.key].filter(Boolean).join(", ");
  return html`<form class="form" onSubmit=${(event) => { event.preventDefault(); train(); }}>
    <div class="fields">${first.fields.map((field) => html`<${Field} key=${field.key} field=${field} value=${draft.values[field.key] ?? ""}
      error=${isOf(field) ? draft.error : ""} change=${(value) => check({ [field.key]: value })} />`)}</div>
    <label class="whole">${t("whole_config")}<textarea rows="18" spellcheck="false" wrap="off" value=${draft.yaml} aria-invalid=${Boolean(draft.error)}
      onInput=${(event) => typed(event.target.value)}></textarea></label>
    ${elsewhere && html`<p class="alarm" role="alert">${where && `${where}: `}${draft.error}</p>`}
    ${draft.notes.map((note) => html`<p class="alarm">${note}</p>`)} ${error && html`<p class="alarm" role="alert">${error}</p>`}
    <p><button type="submit" disabled=${!draft.command}>${t("train")}</button> ${draft.command && html`<code>${draft.command}</code>`}</p></form>`;
}

function Field({ field, value, error, change }) {
  const id = `new-${field.key}`;
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  const common = { id, "aria-describedby": `${id}-help`, "aria-invalid": Boolean(error), value: typed,
    onInput: (event) => setTyped(event.target.value), onChange: (event) => change(event.target.value) };
  const limits = { min: field.least ?? field.above, max: field.most ?? field.below, step: field.kind === "integer" ? 1 : "any" };
  const choices = field.choices.includes(value) || !value ? field.choices : [value, ...field.choices];
  return html`<div class="field"><label for=${id}>${t(`key_${field.key}`)} <code>${field.key}</code></label>
    ${!field.open ? html`<select ...${common} onInput=${null}>${choices.map((each) => html`<option value=${each} selected=${each === typed}>${each}</option>`)}</select>`
      : field.kind !== "text" ? html`<input type="number" ...${common} ...${limits} placeholder=${field.default ?? ""} />`
      : html`<input type="text" list=${field.choices.length ? `${id}-choices` : null} ...${common} placeholder=${field.default ?? ""} autocomplete="off" />
        ${field.choices.length > 0 && html`<datalist id="${id}-choices">${field.choices.map((each) => html`<option value=${each}></option>`)}</datalist>`}`}
    ${error && html`<span class="alarm" role="alert">${error}</span>`}
    <small class="faint" id="${id}-help" lang="en">${field.help}</small></div>`;
}
