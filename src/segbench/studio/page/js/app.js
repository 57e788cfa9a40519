// The frame of the page: which screen is shown (#/data/...), language, light and dark, what is being read.
import { html, render, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { preferred, speak, t, lang } from "./text.js";
import { Asked } from "./parts/asked.js";
import { CompareScreen } from "./screens/compare.js";
import { CorrectScreen } from "./screens/correct.js";
import { DataScreen } from "./screens/data.js";
import { RunsScreen } from "./screens/runs.js";
import { StudyScreen } from "./screens/study.js";
import { TryScreen } from "./screens/try.js";

// name -> component, whether it needs a data set that is read, and for which places it is there
const SCREENS = {
  study: [StudyScreen, false, (place) => place.kind === "study"],
  compare: [CompareScreen, true, (place) => place.kind === "study"],
  data: [DataScreen, true, (place) => place.reading.state !== "none"],
  runs: [RunsScreen, false, (place) => place.kind !== "bundle"],
  try: [TryScreen, false, () => true],
  correct: [CorrectScreen, true, (place) => place.reading.state !== "none"],
};

const route = () => {
  const [path, query = ""] = location.hash.replace(/^#\//, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name, rest, query };
};

function App({ first }) {
  const [place, setPlace] = useState(first);
  const [at, setAt] = useState(route());
  const [, redraw] = useState(0);
  const [lost, setLost] = useState("");
  useEffect(() => {
    const changed = () => setAt(route());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  useEffect(() => {
    const timer = setInterval(async () => {
      try {
        setPlace(await get("/api/place"));
        setLost("");
      } catch (error) {
        setLost(error.code === "lost" || error.code === "closed" ? error.code : "");
      }
    }, place.reading.state === "reading" ? 500 : 5000);
    return () => clearInterval(timer);
  }, [place.reading.state]);
  const choose = async (event) => {
    await speak(event.target.value);
    redraw((n) => n + 1);
  };
  const names = Object.keys(SCREENS).filter((name) => SCREENS[name][2](place));
  const name = names.includes(at.name) ? at.name : names[0];
  const [Screen, needsData] = SCREENS[name];
  const waits = needsData && place.reading.state !== "ready";
  return html`
    <header>
      <strong>${place.name}</strong>
      <nav>${names.map((each) => html`
        <a key=${each} href="#/${each}" aria-current=${each === name ? "page" : null}>${t(each)}</a>`)}</nav>
      ${place.read_only && html`<span class="badge">${t("read_only")}</span>`}
      <label class="language"><span class="hidden">${t("language")}</span>
        <select onChange=${choose}>${place.languages.map((each) => html`<option value=${each} selected=${each === lang}>${each}</option>`)}</select></label>
      <button class="quiet" onClick=${turn} title=${t("theme")} aria-label=${t("theme")}>◐</button>
    </header>
    ${lost && html`<p class="alarm" role="alert">${t(lost)}</p>`}
    ${name === "data" && place.reading.state === "ready" && place.reading.chosen && html`<p class="bar faint">${t("command")}: <code>${place.reading.chosen}</code></p>`}
    <main>${name !== "study" && html`<h1 class="hidden">${t(name)}</h1>`}${waits ? html`<${Asked} reading=${place.reading} readOnly=${place.read_only} onAnswer=${() => get("/api/place").then(setPlace)} />`
      : html`<${Screen} key=${`${name}${lang}`} place=${place} rest=${at.rest} query=${at.query} />`}</main>`;
}

function turn() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  dispatchEvent(new Event("theme"));
}

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
const first = await get("/api/place");
await speak(preferred(first.languages));
render(html`<${App} first=${first} />`, document.getElementById("app"));
