"""An exported model without segbench and without PyTorch: python onnx_alone.py model.onnx photo.jpg mask.png"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

model, photo, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
image = np.asarray(Image.open(photo).convert("RGB"))  # (H, W, 3) uint8, any size
mask, probabilities = session.run(None, {"image": image[None]})
Image.fromarray(mask[0] * np.uint8(255 // max(1, mask.max()))).save(out)
for index, share in enumerate(np.bincount(mask.ravel()) / mask.size):
    print(f"class {index}: {share:.1%} of the image")
print("session metadata:", sorted(session.get_modelmeta().custom_metadata_map))
