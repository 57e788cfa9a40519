// A data set that is being read, cannot be read, or can be read in several ways: then whoever knows it says which.
import { html, useState } from "../html.js";
import { send } from "../api.js";
import { t } from "../text.js";

export function Asked({ reading, onAnswer }) {
  const [error, setError] = useState("");
  const answer = async (value) => {
    try {
      await send("/api/place/answer", { option: reading.option, value });
      onAnswer();
    } catch (problem) {
      setError(problem.message);
    }
  };
  if (reading.state === "none") return html`<p class="told">${t("no_data")}</p>`;
  if (reading.state === "error") return html`<p class="alarm" role="alert">${reading.told}</p>`;
  if (reading.state === "question")
    return html`<section class="told"><p>${reading.told}</p>
      ${reading.choices.map(({ value, told }) => html`<p><button onClick=${() => answer(value)}>${value}</button> ${told}</p>`)}
      ${error && html`<p class="alarm" role="alert">${error}</p>`}</section>`;
  const { what, done, total } = reading;
  return html`<section class="told" aria-live="polite"><p>${what ? t("reading", { what, done, total }) : t("starting")}</p>
    <progress value=${total ? done : null} max=${total || null}></progress></section>`;
}
