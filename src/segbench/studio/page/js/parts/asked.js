// A data set that is being read, cannot be read, or can be read in several ways: then whoever knows it says which.
import { html, useState } from "../html.js";
import { send } from "../api.js";
import { lang, t } from "../text.js";

export function Asked({ reading, readOnly, onAnswer }) {
  const [error, setError] = useState("");
  const answer = async (command) => {
    try {
      await send(`/api/place/answer?lang=${lang}`, { command });
      setError(""), onAnswer();
    } catch (problem) {
      setError(problem.message);
    }
  };
  if (reading.state === "none") return html`<p class="told">${t("no_data")}</p>`;
  const back = reading.chosen && !readOnly && html`<p><button onClick=${() => answer("")}>${t("choose_anew")}</button> <code>${reading.chosen}</code></p>`;
  const failed = error && html`<p class="alarm" role="alert">${error}</p>`;
  if (reading.state === "error") return html`<section class="told"><p class="alarm" role="alert">${reading.told}</p>${back}${failed}</section>`;
  if (reading.state === "question")
    return html`<section class="told asked"><p>${reading.told}</p>
      ${reading.choices.map((each, number) => html`<div class="bar" key=${each.command}>
        <img alt="" height="90" src="/api/place/choices/${number}?${encodeURIComponent(each.command)}" onError=${(event) => { event.target.hidden = true; }} />
        <div><p>${readOnly ? html`<b>${each.given}</b>` : html`<button onClick=${() => answer(each.command)}>${each.given}</button>`} ${each.told}</p>
          ${each.samples > 0 && html`<p>${t("samples", { n: each.samples })}: ${each.classes.join(", ")}</p>`}
          <p class="faint">${t("command")}: <code>${each.command}</code></p></div></div>`)}
      ${back}${failed}</section>`;
  const { what, done, total } = reading;
  return html`<section class="told" aria-live="polite"><p>${what ? t("reading", { what, done, total }) : t("starting")}</p>
    <progress value=${total ? done : null} max=${total || null}></progress></section>`;
}
