// Libraries that only some screens need, loaded when one of them is opened.
const found = new Map();

export const load = (file, name) => {
  if (!found.has(file)) {
    found.set(file, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `/page/vendor/${file}`;
      script.onload = () => resolve(globalThis[name]);
      script.onerror = () => reject(new Error(`${file} was not found`));
      document.head.append(script);
    }));
  }
  return found.get(file);
};

export const openSeadragon = () => load("openseadragon.min.js", "OpenSeadragon");
export const uPlot = () => load("uPlot.iife.min.js", "uPlot");
