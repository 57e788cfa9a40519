// How an image of any size goes through the network, as segbench/predict/sizes.py says.

import {roundHalfEven} from "./png.js";

// {policy, size, tile, note}: at which size the network sees an image of (height, width), and in tiles of which (null:
// at once); `note` is the key of a sentence where a person should know. `policy` null: as trained.
export function planSize(settings, [height, width], policy) {
  const {size, patch, training_px: trained} = settings, original = size === "original";
  const scaled = original || !trained ? [height, width]
    : [height, width].map((side, axis) => Math.max(1, roundHalfEven(side * size[axis] / trained[axis])));
  const share = original && trained ? Math.sqrt(trained[0] * trained[1] / (height * width)) : 1;
  const squeezed = original ? [height, width].map(side => Math.max(1, roundHalfEven(side * share))) : size;
  const tile = patch ?? (original ? trained ?? [512, 512] : size);
  const planned = (way, note = null) => ({
    policy: way, note, size: way === "resize" ? squeezed : scaled, tile: way === "tiles" ? tile : way === "resize" ? patch : null,
  });
  const chosen = policy ?? settings.policy;
  if (chosen) return planned(chosen);
  const larger = trained ? Math.max(height / trained[0], width / trained[1]) : 0;
  if (!original) return planned("resize", larger > settings.larger ? "squeezed" : null);
  if (patch) return planned("tiles");
  if (height * width <= settings.at_once_px || (trained && larger <= settings.larger)) return planned("whole");
  return planned("tiles", "tiled");
}
