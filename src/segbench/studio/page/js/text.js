// Sentences in the language of whoever looks. `t("samples", { n: 3 })` fills in what stands in braces.
import { get } from "./api.js";

let texts = {};
export let lang = "en";

export async function speak(wanted) {
  texts = await get(`/api/texts/${wanted}`);
  lang = wanted;
  document.documentElement.lang = wanted;
  localStorage.setItem("lang", wanted);
}

export const preferred = (known) => {
  const asked = localStorage.getItem("lang") ?? navigator.language.slice(0, 2);
  return known.includes(asked) ? asked : "en";
};

export const t = (key, values = {}) =>
  (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));

const shown = (value) => (typeof value === "number" ? number(value) : value);
export const number = (value, digits = 3) =>
  Number.isInteger(value) ? value.toLocaleString(lang) : value.toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
export const duration = (s) => (s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${number(s / 3600, 1)} h`);
