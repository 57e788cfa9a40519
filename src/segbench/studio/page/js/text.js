// Sentences in the language of whoever looks. `t("samples", { n: 3 })` fills in what stands in braces; a sentence that
// counts has a form for `n`.
import { get } from "./api.js";

let texts = {};
let rules = new Intl.PluralRules("en");
export let lang = "en";

export async function speak(wanted) {
  texts = await get(`/api/texts/${wanted}`);
  lang = wanted;
  rules = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted;
  localStorage.setItem("lang", wanted);
}

export const preferred = (known) => {
  const asked = localStorage.getItem("lang") ?? navigator.language.slice(0, 2);
  return known.includes(asked) ? asked : "en";
};

export const t = (key, values = {}) =>
  form(texts[key] ?? key, values.n).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));

const form = (text, n) => (typeof text === "string" ? text : text[rules.select(n ?? 0)] ?? Object.values(text)[0]);
const shown = (value) => (typeof value === "number" ? number(value) : value);
export const number = (value, digits = 3) =>
  Number.isInteger(value) ? value.toLocaleString(lang) : value.toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const duration = (s) => (s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${number(s / 3600, 1)} h`);
