// What the doctor found, worst first: choosing a finding filters the grid; what a person decides about it is remembered.
import { html, useEffect, useState } from "../html.js";
import { send } from "../api.js";
import { lang, t } from "../text.js";
import { useAnswer } from "./use.js";

const SEVERITIES = ["error", "warning", "info"];

export function useFindings(wanted) {
  const { value, error, again } = useAnswer(wanted ? `/api/findings?lang=${lang}` : null);
  useEffect(() => {
    if (value?.state !== "examining" && error?.code !== "lost") return undefined;
    const timer = setTimeout(again, 1000);
    return () => clearTimeout(timer);
  }, [value, error]);
  return { value, error, again };
}

export function Findings({ found, chosen, choose, look, readOnly, decided }) {
  const { value, error } = found;
  if (error) return html`<p class="alarm" role="alert">${error.message}</p>`;
  if (!value) return null;
  if (value.state === "error") return html`<p class="alarm" role="alert">${value.told}</p>`;
  if (value.state === "examining")
    return html`<p role="status">${t("examining")}</p><progress max=${value.total || 1} value=${value.done} aria-label=${t("examining")}></progress>
      <p class="faint">${value.what && t("reading", value)}</p>`;
  if (!value.findings.length) return html`<p>${t("nothing_found")}</p>`;
  return html`${SEVERITIES.map((severity) => {
    const some = value.findings.filter((each) => each.severity === severity);
    return some.length > 0 && html`<h2>${t(`severity_${severity}`)} <span class="badge">${some.length}</span></h2>
      <ul class="findings">${some.map((each) => html`<${One} key=${`${each.code}${each.title}`} finding=${each} open=${chosen === each.code}
        choose=${choose} look=${look} readOnly=${readOnly} decided=${decided} who=${value.who} />`)}</ul>`;
  })}<p class="faint">${t("remembered_in")} <code class="path">${value.file}</code></p>`;
}

function One({ finding, open, choose, look, readOnly, decided, who }) {
  const done = finding.open === 0;
  return html`<li class=${done ? "done" : ""}><button class="quiet" aria-expanded=${open} onClick=${() => choose(open ? "" : finding.code, done)}>
      ${done ? "✓ " : ""}${finding.title}</button>
    ${open && html`<div class="told-more">${finding.detail && html`<p class="faint">${finding.detail}</p>`}
      ${finding.advice && html`<p><b>${t("what_to_do")}</b> ${finding.advice}</p>`}
      ${finding.reviewed > 0 && html`<p>${t("reviewed_n", { n: finding.reviewed, total: finding.reviewed + finding.open })}</p>`}
      ${finding.others.length > 0 && html`<details><summary>${t("files_of_none", { n: finding.others.length })}</summary>
        <ul class="files">${finding.others.map((file) => html`<li><code class="path">${file}</code></li>`)}</ul></details>`}
      ${finding.samples > 0 && html`<p><button onClick=${() => look(finding.code)}>${t("look_at_each", { n: finding.samples })}</button></p>`}
      ${!readOnly && html`<${Decide} code=${finding.code} title=${finding.title} files=${null} done=${done} decided=${decided} who=${who} all />`}</div>`}</li>`;
}

// Accept, Not a problem, or take it back; who and why are kept with it.
export function Decide({ code, title, files, done, decided, who, all = false }) {
  const [name, setName] = useState(localStorage.getItem("who") ?? who ?? "");
  const [why, setWhy] = useState("");
  const [error, setError] = useState("");
  const decide = (decision) => {
    localStorage.setItem("who", name);
    send(`/api/findings?lang=${lang}`, { code, title: lang === "en" ? title : "", files, decision, who: name, why }).then(
      () => (setError(""), decided()), (problem) => setError(problem.message));
  };
  return html`<div class="decide" role="group" aria-label=${t("decide")}>
    ${done ? html`<button onClick=${() => decide(null)}>${t("take_back")}</button>` : html`
      <label>${t("who")} <input value=${name} maxlength="200" onInput=${(event) => setName(event.target.value)} /></label>
      <label>${t("why")} <input value=${why} maxlength="2000" onInput=${(event) => setWhy(event.target.value)} /></label>
      <span class="row"><button onClick=${() => decide("accepted")} title=${t("accept_hint")}>${t(all ? "accept_all" : "accept")}</button>
      <button onClick=${() => decide("not_a_problem")} title=${t("not_a_problem_hint")}>${t(all ? "not_a_problem_all" : "not_a_problem")}</button></span>`}
    ${error && html`<p class="alarm" role="alert">${error}</p>`}</div>`;
}
