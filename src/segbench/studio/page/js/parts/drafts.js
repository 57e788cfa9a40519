// Corrections that are not saved yet, kept in the browser: what was painted survives a studio that was killed, or a closed tab.
// Each tab has drafts of its own, so that two tabs on one image do not overwrite each other's; those of closed tabs are found, too.

const tab = sessionStorage.getItem("tab") ?? Math.random().toString(36).slice(2);
sessionStorage.setItem("tab", tab);

const opened = new Promise((resolve, reject) => {
  const asked = indexedDB.open("segbench-studio", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("drafts");
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});
opened.catch(() => {}); // whoever keeps or looks for a draft is told

const store = async (mode, act) => {
  const base = await opened;
  return new Promise((resolve, reject) => {
    const turn = base.transaction("drafts", mode), asked = act(turn.objectStore("drafts"));
    turn.oncomplete = () => resolve(asked.result);
    turn.onabort = () => reject(turn.error); // a full disk shows only here
  });
};

// A draft: { version, data }, of one sample of one data set.
export const keepDraft = (key, draft) => store("readwrite", (drafts) => drafts.put(draft, `${key}\n${tab}`));
export const dropDraft = (key, of = `${key}\n${tab}`) => store("readwrite", (drafts) => drafts.delete(of));

// Returns { version, data, of }: this tab's, else another's; undefined where there is none. `of` drops that one.
export async function findDraft(key) {
  const range = IDBKeyRange.bound(`${key}\n`, `${key}\n\uffff`);
  const keys = await store("readonly", (drafts) => drafts.getAllKeys(range));
  const of = keys.find((each) => each === `${key}\n${tab}`) ?? keys[0];
  return of && { ...(await store("readonly", (drafts) => drafts.get(of))), of };
}
