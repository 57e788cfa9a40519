// A study while it runs and after: how far it is, the verdict so far, classes, and what they are taken for.
import { html, useEffect, useState } from "../html.js";
import { lang, number, t } from "../text.js";
import { useAnswer } from "../parts/use.js";

const shown = (value) => (value === null || value === undefined ? "–" : number(value));

export function StudyScreen() {
  const [progress, setProgress] = useState(null);
  const [drop, setDrop] = useState(false);
  const [chosen, setChosen] = useState(null);
  const asked = `lang=${lang}&without_collapsed=${drop}`;
  const { value: verdict, error, again } = useAnswer(`/api/study/verdict?${asked}`);
  useEffect(() => {
    const source = new EventSource(`/api/study/events?lang=${lang}`);
    source.onmessage = ({ data }) => setProgress(JSON.parse(data));
    return () => source.close();
  }, []);
  useEffect(again, [progress?.finished]);
  if (!progress) return null;
  const place = chosen ?? verdict?.entries[0]?.index;
  return html`<div class="screen scroll">
    <section class="head">
      ${progress.question && html`<h1>${progress.question}</h1>`}
      <p><progress value=${progress.finished} max=${progress.planned} aria-label=${progress.told}></progress> ${progress.told}</p>
      ${verdict ? html`<${Answer} verdict=${verdict} drop=${drop} setDrop=${setDrop} name=${progress.name} />`
        : html`<h2>${error ? t("not_yet") : t("judging")}</h2><p>${error?.message}</p>`}
    </section>
    ${verdict && html`<${Board} verdict=${verdict} place=${place} choose=${setChosen} />
      ${verdict.classes.length > 1 && html`<${Confusion} key=${`${place}${drop}`} place=${place} asked=${asked}
        name=${verdict.entries.find((entry) => entry.index === place)?.name} />`}`}
    <${Trainings} runs=${progress.runs} />
    ${verdict && html`<section><h2>${t("definition")}</h2><p>${verdict.score}: ${verdict.definition}</p></section>`}
  </div>`;
}

function Answer({ verdict, drop, setDrop, name }) {
  const collapsed = drop || verdict.entries.some((entry) => entry.collapsed);
  return html`
    ${verdict.answer.map((line, index) => (index ? html`<p>${line}</p>` : html`<h2>${line}</h2>`))}
    ${verdict.doubts.map((line) => html`<p class="alarm">${line}</p>`)}
    ${verdict.smallest !== null && html`<p>${t("smallest", { value: verdict.smallest })}</p>`}
    ${collapsed && html`<p><label><input type="checkbox" checked=${drop} onChange=${(event) => setDrop(event.target.checked)} />
      ${" "}${t("drop")}</label></p>`}
    ${drop && html`<p class="alarm">${t("dropped", { n: verdict.dropped })}</p>`}
    ${verdict.next.length > 0 && html`<h3>${t("what_next")}</h3>${verdict.next.map((line) => html`<p>${line}</p>`)}`}
    <p class="faint">${t("so_far")} <code>segbench compare ${name}</code></p>`;
}

// The table of approaches; a line on the left joins those between which no difference is shown.
function Board({ verdict, place, choose }) {
  const lanes = lanesOf(verdict.brackets);
  return html`<section><div class="wide"><table class="board">
    <thead><tr><th class="lanes" style="min-width:${8 * lanes.length + 8}px"><span class="hidden">${t("together")}</span></th><th>${t("approach")}</th><th>${t("mean")}</th>
      <th>${t("interval")}</th><th>${t("rank")}</th><th>${t("seeds")}</th>${verdict.classes.map((name) => html`<th>${name}</th>`)}</tr></thead>
    <tbody>${verdict.entries.map((entry, row) => html`
      <tr class=${entry.may_be_best ? "best" : ""} aria-selected=${entry.index === place}>
        <td class="lanes">${lanes.map(([first, last], lane) => row >= first && row <= last && html`
          <i class="lane ${row === first ? "first" : ""} ${row === last ? "last" : ""}" style="left:${8 * lane}px"></i>`)}</td>
        <th scope="row"><button class="quiet" onClick=${() => choose(entry.index)} title=${entry.key}>${entry.name}</button></th>
        <td>${shown(entry.mean)}</td><td>${shown(entry.low)} … ${shown(entry.high)}</td>
        <td>${entry.ranks[0] === entry.ranks[1] ? entry.ranks[0] : entry.ranks.join("–")}</td>
        <td>${entry.planned > entry.seeds ? t("of", { n: entry.seeds, total: entry.planned }) : entry.seeds}
          ${entry.collapsed > 0 && html` <b class="alarm">${t("collapsed_n", { n: entry.collapsed })}</b>`}
          ${entry.failed > 0 && html` <b class="alarm">${t("failed_n", { n: entry.failed })}</b>`}</td>
        ${entry.classes.map((value) => html`<td style=${value === null ? "" : `--share:${value}`} class="share">${shown(value)}</td>`)}
      </tr>`)}
      ${verdict.constant !== null && html`<tr class="faint"><td></td><th scope="row">${t("constant")}</th><td>${shown(verdict.constant)}</td>
        <td colspan=${3 + verdict.classes.length}></td></tr>`}
    </tbody></table></div>
    <p class="faint"><i class="lane sign"></i> ${t("together")} <i class="bestsign"></i> ${t("may_be_best")}</p></section>`;
}

// Brackets that touch are drawn side by side.
function lanesOf(brackets) {
  return brackets.slice(0, 12);
}

function Confusion({ place, name, asked }) {
  const { value } = useAnswer(`/api/study/confusion/${place}?${asked}`);
  const [cell, setCell] = useState(null);
  if (!value?.names.length) return null;
  const found = cell && value.images.find((each) => each.true === cell[0] && each.predicted === cell[1]);
  return html`<section><h2>${t("confusion", { name })}</h2><p class="faint">${t("confusion_hint")}</p>
    <div class="wide"><table class="confusion"><thead><tr><th>${t("true_class")}</th>${value.names.map((each) => html`<th>${each}</th>`)}</tr></thead>
    <tbody>${value.shares.map((row, from) => html`<tr><th scope="row">${value.names[from]}</th>${row.map((share, to) => html`
      <td class=${from === to ? "share right" : "share wrong"} style=${share === null ? "" : `--share:${share}`}>
        ${from === to || !share ? shown(share) : html`<button class="quiet" aria-pressed=${cell?.[0] === from && cell?.[1] === to}
          onClick=${() => setCell([from, to])}>${shown(share)}</button>`}</td>`)}</tr>`)}</tbody></table></div>
    ${cell && html`<h3>${t("confused", { true: value.names[cell[0]], predicted: value.names[cell[1]] })}</h3>
      ${found ? html`<div class="row">${found.samples.map((index, n) => html`<a href="#/data/${index}"><figure>
        <img src="/api/samples/${index}/overlay?side=240" alt="" loading="lazy" /><figcaption>${found.ids[n]}</figcaption></figure></a>`)}</div>`
        : html`<p>${t("rarely")}</p>`}`}</section>`;
}

function Trainings({ runs }) {
  return html`<section><details open=${runs.some((run) => run.state !== "finished")}><summary>${t("trainings")}</summary>
    <div class="wide"><table><thead><tr><th>${t("training")}</th><th>${t("state")}</th><th>${t("epoch")}</th><th>${t("best_value")}</th><th></th></tr></thead>
    <tbody>${runs.map((run) => html`<tr><th scope="row">${run.id}</th><td class="state ${run.state}">${t(run.state)}</td>
      <td>${run.epoch} / ${run.epochs}</td><td>${shown(run.best)}</td><td>${run.failure ?? run.alerts.join(" ")}</td></tr>`)}</tbody></table></div>
    </details></section>`;
}
