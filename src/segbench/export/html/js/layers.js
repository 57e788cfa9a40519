// A mask -> what lies over the image: areas and outlines in the colours of the classes, as segbench/plots/panels.py.

const PIXELS_PER_OUTLINE_PX = 300; // an outline is a pixel wide for each so many pixels of the shorter side

// Two RGBA pictures of (height, width). `shown`: of each class, whether it is drawn.
export function maskLayers(mask, width, height, settings, shown) {
  const paint = shown.map((drawn, index) => drawn ? opaque(settings.classes[index].colour) : 0);
  const planes = mask.length / (width * height);
  const labels = planes === 1 && settings.task !== "multilabel" ? mask : topmost(mask, width * height, planes, shown);
  const colours = settings.task === "multilabel" ? [0, ...paint] : paint; // label 0: no class
  const areas = new Uint32Array(width * height), outlines = new Uint32Array(width * height);
  const thick = Math.max(1, Math.floor(Math.min(width, height) / PIXELS_PER_OUTLINE_PX));
  const down = new Uint16Array(width); // how many pixels of one label end here, from above; `across`: from the left
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0, across = 0; column < width; column++, at++) {
      const label = labels[at];
      across = column && labels[at - 1] === label ? across + 1 : 1;
      down[column] = row && labels[at - width] === label ? down[column] + 1 : 1;
      const colour = colours[label];
      if (!colour) continue;
      areas[at] = colour;
      const begins = across <= thick && across <= column, tops = down[column] <= thick && down[column] <= row;
      if (begins || tops) outlines[at] = colour;
    }
  }
  const picture = values => new ImageData(new Uint8ClampedArray(values.buffer), width, height);
  return {areas: picture(areas), outlines: picture(outlines)};
}

// Of planes of 0 and 1: 1 + the last class that is drawn and present, 0 where there is none.
function topmost(mask, size, planes, shown) {
  const labels = new Uint16Array(size);
  for (let plane = 0; plane < planes; plane++) {
    if (!shown[plane]) continue;
    for (let at = 0; at < size; at++) if (mask[plane * size + at]) labels[at] = plane + 1;
  }
  return labels;
}

// [red, green, blue] as the bytes of an opaque pixel, in the order of memory (every browser's machine is little-endian).
function opaque([red, green, blue]) {
  return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
}
