// In which order masks are corrected: a list beside the editor, with what speaks for each image.
import { html, useEffect, useRef, useState } from "../html.js";
import { get } from "../api.js";
import { lang, t } from "../text.js";
import { Choice } from "./choice.js";

const ASK_EVERY_MS = 500;
const SHOWN = 200; // rows; nobody corrects more at a sitting

export function Queue({ place, index, corrected, open, onOrder }) {
  const [order, setOrder] = useState("");
  const [model, setModel] = useState("");
  const [test, setTest] = useState(false);
  const [there, setThere] = useState(null);
  const [round, setRound] = useState(0);
  const current = useRef(null);
  const chosen = model || place.models[0]?.key;
  useEffect(() => {
    if (!order || chosen === undefined) return setThere(null);
    let timer = null, gone = false;
    const look = async (anew) => {
      const asked = `order=${order}&model=${encodeURIComponent(chosen)}&test=${test}&anew=${anew}&lang=${lang}`;
      const found = await get(`/api/correct/queue?${asked}`).catch((error) => ({ state: "error", told: error.message }));
      if (gone) return;
      setThere(found);
      if (found.state === "working") timer = setTimeout(look, ASK_EVERY_MS, false);
    };
    look(round > 0);
    return () => { gone = true; clearTimeout(timer); };
  }, [order, chosen, test, round]);
  useEffect(() => { current.current?.scrollIntoView({ block: "nearest" }); }, [index, there]);
  const versions = new Map(corrected?.samples.map((each) => [each.index, each.version]));
  const rows = there?.state === "ready" ? there.value : [];
  useEffect(() => onOrder(rows.length ? rows.map((row) => row.index) : null), [there]);
  const known = [...(place.models.length ? ["score", "entropy", "confidence", "diversity"] : []), ...(place.models.length > 1 ? ["disagreement"] : [])];
  const orders = [["", t("order_number")], ...known.map((each) => [each, t(`order_${each}`)])];
  return html`<aside class="queue" aria-label=${t("queue")}>
    <${Choice} label=${t("queue")} value=${order} onChange=${setOrder} options=${orders} />
    ${order && html`<${Choice} label=${t("model")} value=${chosen} onChange=${setModel} options=${place.models.map((each) => [each.key, each.name])} />
      <label><input type="checkbox" checked=${test} onChange=${(event) => setTest(event.target.checked)} /> ${t("with_test")}</label>`}
    ${there?.state === "working" && html`<p class="faint" aria-live="polite">${t("asking_model")} <progress value=${there.total ? there.done : null} max=${there.total || null}></progress></p>`}
    ${there?.state === "error" && html`<p class="alarm" role="alert">${there.told}</p>`}
    ${there?.state === "ready" && html`${there.told && html`<p class="alarm">${there.told}</p>`}
      <p><button onClick=${() => setRound((n) => n + 1)}>${t("order_anew")}</button>
        ${!test && there.left_out > 0 && html`<span class="faint">${t("test_left_out", { n: there.left_out })}</span>`}</p>
      <ol>${rows.slice(0, SHOWN).map((row) => html`<li key=${row.index} ref=${row.index === index ? current : null}>
        <button class="quiet" aria-current=${row.index === index ? "true" : null} onClick=${() => open(row.index)}>
          <img loading="lazy" alt="" width="64" height="48" src="/api/correct/${row.index}/overlay?side=96&version=${versions.get(row.index) ?? 0}" />
          <span><b>${row.id}</b> ${row.part ?? ""} ${versions.has(row.index) && html`<i class="badge">${t("is_corrected")}</i>`}<small>${row.why}</small></span></button></li>`)}</ol>`}
  </aside>`;
}
