// What is asked of the studio, as the state of a part: { value, error, again }.
import { useCallback, useEffect, useState } from "../html.js";
import { get } from "../api.js";

export function useAnswer(path) {
  const [state, setState] = useState({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    const stop = new AbortController();
    get(path, stop.signal).then(
      (value) => setState({ value, path }),
      (error) => error.name === "AbortError" || setState({ error, path }),
    );
    return () => stop.abort();
  }, [path, round]);
  return { ...state, again: useCallback(() => setRound((n) => n + 1), []) };
}

// A choice that stays as it is from one image to the next, as long as the page is open.
const kept = new Map();
export function useKept(key, first) {
  const [value, set] = useState(kept.has(key) ? kept.get(key) : first);
  const change = (to) => set((now) => {
    const next = typeof to === "function" ? to(now) : to;
    kept.set(key, next);
    return next;
  });
  return [value, change];
}

// Light or dark: what is drawn on a canvas takes its colours anew when this changes.
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
export function useTheme() {
  const [now, setNow] = useState(theme());
  useEffect(() => {
    const look = () => setNow(theme());
    dark.addEventListener("change", look);
    addEventListener("theme", look);
    return () => (dark.removeEventListener("change", look), removeEventListener("theme", look));
  }, []);
  return now;
}

// Is something written into an element, so that letters are no commands?
export const isWriting = (element) =>
  /^(SELECT|TEXTAREA)$/.test(element.tagName) || (element.tagName === "INPUT" && !/^(range|checkbox|radio|button)$/.test(element.type));
