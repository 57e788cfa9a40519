// A command that the page started: its words, how it stands, what it says.
import { html, useEffect, useState } from "../html.js";
import { get, send } from "../api.js";
import { t } from "../text.js";

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
  const state = there.running ? "task_running" : there.failed ? "task_failed" : "task_done";
  return html`<details class="task"><summary><span class=${there.failed ? "alarm" : ""}>${t(state)}</span> <code>${there.command}</code></summary>
    ${mayStop && there.running && html`<button onClick=${() => send(`/api/tasks/${task.id}/stop`, {}).then(setThere)}>${t("stop")}</button>`}
    <pre aria-label=${t("log")}>${there.log}</pre></details>`;
}
