"""segbench from Python: images, a config, a run, a prediction, and scores of any tool's masks.

python docs/examples/python_api.py
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import segbench

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
segbench.write_lesions(folder / "lesions", count=40)

manifest = segbench.read_dataset(folder / "lesions", classes={"skin": 0, "lesion": 255})
print(len(manifest.samples), "samples:", ", ".join(manifest.class_map.names))

result = segbench.fit(
    {
        "data": {"path": str(folder / "lesions"), "options": {"classes": {"skin": 0, "lesion": 255}}, "size": 48},
        "network": {"name": "unet_nearest", "widths": [8, 16, 32]},
        "loss": {"dice": 0.5, "bce": 0.5},
        "epochs": 4,
        "output": str(folder / "run"),
    }
)
print("test IoU per image:", round(result.scores["test"]["iou_per_image"], 3))

predictor = segbench.Predictor.from_run(result.run)
other = segbench.write_lesions(folder / "larger", count=1, size=(300, 400), seed=1)  # of another size than in training
[image] = [np.asarray(Image.open(file)) for file in (other / "images").iterdir()]
[truth] = [np.asarray(Image.open(file)) // 255 for file in (other / "masks").iterdir()]
prediction = predictor(image)
print("mask", prediction.mask.shape, "areas", {name: round(frac, 3) for name, frac in prediction.area_fracs.items()})

# Any tool's label maps can be scored; a trained network is not needed.
everything = np.ones_like(truth)
scores = segbench.score_masks([prediction.mask, everything], [truth, truth], ["skin", "lesion"], ids=["ours", "all"])
print("IoU of each:", dict(zip(scores.ids, scores.image_means("iou").round(3).tolist(), strict=True)))
print(scores.definitions["iou_per_image"])
