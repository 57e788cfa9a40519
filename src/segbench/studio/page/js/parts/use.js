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
