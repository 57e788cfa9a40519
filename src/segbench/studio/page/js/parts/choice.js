// A labelled field with a few choices: options are [value, text].
import { html } from "../html.js";

export const Choice = ({ label, value, options, onChange }) => html`<label>${label}${" "}
  <select onChange=${(event) => onChange(event.target.value)}>${options.map(([each, text]) => html`
    <option key=${each} value=${each} selected=${String(each) === String(value)}>${text}</option>`)}</select></label>`;
