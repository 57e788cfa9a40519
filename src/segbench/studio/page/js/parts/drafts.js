// Corrections that are not saved yet, kept in the browser: what was painted survives a studio that was killed, or a closed tab.

const opened = new Promise((resolve, reject) => {
  const asked = indexedDB.open("segbench-studio", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("drafts");
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});

const store = async (mode, act) => {
  const base = await opened;
  return new Promise((resolve, reject) => {
    const asked = act(base.transaction("drafts", mode).objectStore("drafts"));
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
};

// A draft: { version, data }, of one sample of one data set.
export const keepDraft = (key, draft) => store("readwrite", (drafts) => drafts.put(draft, key));
export const findDraft = (key) => store("readonly", (drafts) => drafts.get(key));
export const dropDraft = (key) => store("readwrite", (drafts) => drafts.delete(key));
