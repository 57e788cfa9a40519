// Trainings, live: their curves over each other, the pictures of every epoch, what to look at; stopped and continued.
import { html, useEffect, useRef, useState } from "../html.js";
import { get, send } from "../api.js";
import { duration, lang, number, t } from "../text.js";
import { Choice } from "../parts/choice.js";
import { uPlot } from "../parts/library.js";
import { NewRun } from "../parts/new_run.js";
import { TaskLine } from "../parts/task.js";
import { useTheme } from "../parts/use.js";

const EVERY_MS = 2000;
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#999933"];

export function RunsScreen({ place }) {
  const [runs, setRuns] = useState(null);
  const [histories, setHistories] = useState({});
  const [hidden, setHidden] = useState(new Set());
  const [column, setColumn] = useState(null);
  const [chosen, setChosen] = useState(null);
  const known = useRef({});
  useEffect(() => {
    let gone = false;
    const look = async () => {
      const found = await get(`/api/runs?lang=${lang}`).catch(() => null);
      if (!found || gone) return;
      const changed = found.filter((run) => !run.damage && known.current[run.name] !== run.epoch);
      const rows = await Promise.all(changed.map((run) => get(`/api/runs/${encodeURIComponent(run.name)}/history`).catch(() => ({}))));
      if (gone) return;
      changed.forEach((run) => { known.current[run.name] = run.epoch; });
      setRuns(found);
      if (changed.length) setHistories((before) => ({ ...before, ...Object.fromEntries(changed.map((run, n) => [run.name, rows[n]])) }));
    };
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => { gone = true; clearInterval(timer); };
  }, []);
  if (!runs) return null;
  const begin = place.kind === "study" ? html`<${StudyTask} place=${place} />` : html`<${NewRun} place=${place} />`;
  if (!runs.length) return html`<div class="screen scroll">${begin}<section><p>${t("no_runs")}</p></section></div>`;
  const columns = [...new Set(Object.values(histories).flatMap(Object.keys))].filter((name) => /^(train|val)_/.test(name) && !/_s$|per_s$/.test(name));
  const drawn = column ?? runs.find((run) => run.column)?.column;
  // Seeds of one approach share its colour.
  const entries = [...new Set(runs.map((run) => run.entry))];
  const colorOf = (run) => COLORS[entries.indexOf(run.entry) % COLORS.length];
  const shown = runs.filter((run) => !run.damage && !hidden.has(run.name));
  const hide = (name) => setHidden((before) => { const now = new Set(before); if (!now.delete(name)) now.add(name); return now; });
  return html`<div class="screen scroll">${begin}<section>
      <${Choice} label=${t("column")} value=${drawn} onChange=${setColumn} options=${columns.map((name) => [name, name])} />
      <${Curves} runs=${shown} colorOf=${colorOf} histories=${histories} column=${drawn} /></section>
    <section class="wide"><table><thead><tr><th><span class="hidden">${t("is_shown")}</span></th><th>${t("training")}</th><th>${t("state")}</th><th>${t("epoch")}</th><th>${t("best_value")}</th><td></td></tr></thead>
      <tbody>${runs.map((run) => html`<tr key=${run.name}><td><input type="checkbox" aria-label=${run.name} checked=${!hidden.has(run.name)} onChange=${() => hide(run.name)} />
          <i class="swatch" style="background:${colorOf(run)}"></i></td>
        <th scope="row"><button class="quiet" onClick=${() => setChosen(run.name)}>${run.name}</button></th>
        <td class="state ${run.state}">${t(run.state)} ${run.collapsed && html`<b class="alarm">${t("collapsed_n", { n: 1 })}</b>`}</td>
        ${run.damage ? html`<td colspan="3" class="alarm">${run.damage}</td>` : html`<td>${run.epoch} / ${run.epochs}${" "}
            ${run.seconds_left ? html`<span class="faint">${t("seconds_left", { n: duration(run.seconds_left) })}</span>` : ""}</td>
          <td>${run.best === null ? "–" : number(run.best)}</td><td><${Actions} run=${run} place=${place} /></td>`}</tr>`)}</tbody></table></section>
    ${runs.filter((run) => run.alerts?.length && !hidden.has(run.name)).slice(0, 8).map((run) => html`<section><h2>${run.name}</h2>
      ${run.alerts.map((alert) => html`<p>${alert.sentence}. ${alert.advice}</p>`)}</section>`)}
    <${Pictures} run=${runs.find((run) => run.name === (chosen ?? runs.find((each) => each.pictures?.length)?.name))} /></div>`;
}

// A whole study, stopped and continued; also after the studio was started again.
function StudyTask({ place }) {
  const [there, setThere] = useState(null);
  const [error, setError] = useState("");
  useEffect(() => {
    const look = () => get("/api/study/task").then(setThere, () => null);
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const ask = (what) => send(`/api/study/${what}?lang=${lang}`, {}).then((found) => (setError(""), setThere(found)), (problem) => setError(problem.message));
  if (!there || (!there.task && (there.finished || place.read_only))) return null;
  const what = there.running ? "stop" : "continue";
  return html`<section>${!place.read_only && !(there.finished && !there.running) && html`<button onClick=${() => ask(what)}>${t(`${what}_study`)}</button>`}
    ${there.task && html`<${TaskLine} key=${there.task.id} task=${there.task} />`} ${error && html`<span class="alarm" role="alert">${error}</span>`}</section>`;
}

function Actions({ run, place }) {
  const [task, setTask] = useState(null);
  const [error, setError] = useState("");
  if (place.read_only || place.kind === "study" || run.state === "finished") return task && html`<${TaskLine} task=${task} />`;
  const ask = (what) => send(`/api/runs/${encodeURIComponent(run.name)}/${what}?lang=${lang}`, {}).then(setTask, (problem) => setError(problem.message));
  return html`<button onClick=${() => ask(run.state === "running" ? "stop" : "continue")}>${t(run.state === "running" ? "stop" : "continue")}</button>
    ${task && html`<${TaskLine} task=${task} />`} ${error && html`<span class="alarm" role="alert">${error}</span>`}`;
}

function Curves({ runs, colorOf, histories, column }) {
  const box = useRef(null);
  const theme = useTheme();
  useEffect(() => {
    let plot = null, gone = false;
    uPlot().then((Plot) => {
      if (gone || !box.current) return;
      const epochs = Math.max(1, ...runs.map((run) => histories[run.name]?.[column]?.length ?? 0));
      const style = getComputedStyle(document.body);
      const axis = { stroke: style.getPropertyValue("--ink"), grid: { stroke: style.getPropertyValue("--line") } };
      const series = runs.map((run) => ({ label: run.name, stroke: colorOf(run), width: 1.5, spanGaps: true, value: (_, x) => (x === null ? "–" : number(x)) }));
      const size = () => ({ width: box.current.clientWidth, height: Math.min(320, Math.max(200, box.current.clientWidth / 3)) });
      plot = new Plot({ ...size(), scales: { x: { time: false } }, axes: [axis, axis], legend: { show: runs.length <= 12 },
        series: [{ label: t("epoch") }, ...series] }, [Array.from({ length: epochs }, (_, n) => n + 1),
        ...runs.map((run) => Array.from({ length: epochs }, (_, n) => histories[run.name]?.[column]?.[n] ?? null))], box.current);
      watch.observe(box.current);
    });
    const watch = new ResizeObserver(() => plot?.setSize({ width: box.current.clientWidth, height: plot.height }));
    return () => { gone = true; watch.disconnect(); plot?.destroy(); };
  }, [column, histories, theme, runs.map((run) => run.name).join("|")]);
  return html`<div ref=${box} class="curves" role="img" aria-label=${`${t("curves")}: ${column}`}></div>`;
}

function Pictures({ run }) {
  const [at, setAt] = useState(null);
  if (!run?.pictures?.length) return null;
  const epoch = run.pictures[Math.min(at ?? run.pictures.length - 1, run.pictures.length - 1)];
  return html`<section><h2>${t("pictures_of", { name: run.name, n: epoch })}</h2>
    <input type="range" min="0" max=${run.pictures.length - 1} value=${at ?? run.pictures.length - 1} aria-label=${t("epoch")}
      onInput=${(event) => setAt(Number(event.target.value))} />
    <p><img class="picture" src="/api/runs/${encodeURIComponent(run.name)}/pictures/${epoch}" alt=${t("pictures_of", { name: run.name, n: epoch })} /></p></section>`;
}
