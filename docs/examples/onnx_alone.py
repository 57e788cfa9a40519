"""An exported model without segbench and without PyTorch: python onnx_alone.py model.onnx photo.jpg mask.png"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, photo, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
image = np.asarray(ImageOps.exif_transpose(Image.open(photo)).convert("RGB"))  # (H, W, 3) uint8, any size, upright
mask, probabilities = session.run(None, {"image": image[None]})
planes = mask[0] if mask.ndim == 4 else mask  # multilabel: 0 and 1, a plane and a file a class; else class indices
for index, plane in enumerate(planes):
    name = out if len(planes) == 1 else f"{out.removesuffix('.png')}_{index}.png"
    Image.fromarray(plane * np.uint8(255 // max(1, plane.max()))).save(name)
classes = planes if mask.ndim == 4 else [mask[0] == index for index in range(int(mask.max()) + 1)]
for index, pixels in enumerate(classes):
    print(f"class {index}: {pixels.mean():.1%} of the image")
