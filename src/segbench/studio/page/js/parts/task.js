// A command that the page started: its words, how far it is, how it ended, what it says.
import { html, useEffect, useState } from "../html.js";
import { get, send } from "../api.js";
import { duration, t } from "../text.js";

export function TaskLine({ task, onEnd, mayStop = false }) {
  const [there, setThere] = useState(task);
  useEffect(() => setThere(task), [task.id]);
  useEffect(() => {
    if (!there.running) return undefined;
    const timer = setInterval(async () => {
      const now = await get(`/api/tasks/${task.id}`).catch(() => null);
      if (!now) return;
      setThere(now);
      if (!now.running) onEnd?.(now);
    }, 1000);
    return () => clearInterval(timer);
  }, [there.running, task.id]);
  const state = there.running ? "task_running" : there.failed ? "task_failed" : there.stopped ? "stopped" : there.killed ? "task_killed" : "task_done";
  const { progress } = there;
  const far = progress && t("of", { n: progress.done, total: progress.total });
  return html`<details class="task"><summary><span class=${there.failed || there.killed ? "alarm" : ""}>${t(state)}</span>${" "}
      ${there.running && progress && html`<progress value=${progress.done} max=${progress.total} aria-label=${far}></progress> ${far}
        ${progress.seconds_left ? html`<span class="faint"> ${t("seconds_left", { n: duration(progress.seconds_left) })}</span>` : ""}`} <code>${there.command}</code></summary>
    <pre aria-label=${t("log")} tabindex="0">${there.log}</pre></details>
    ${mayStop && there.running && html`<button onClick=${() => send(`/api/tasks/${task.id}/stop`, {}).then(setThere)}>${t("stop")}</button>`}`;
}
