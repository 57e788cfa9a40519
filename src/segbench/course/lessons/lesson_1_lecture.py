"""
1. Pixels as classes
====================

In semantic segmentation every pixel gets a class.
"""

# %%
# Two masks
# ---------
#
# .. math:: \mathrm{IoU} = \frac{TP}{TP + FP + FN}

import matplotlib.pyplot as plt
import numpy as np

from segbench import course

rows, columns = np.mgrid[:64, :64]
target = (rows - 32) ** 2 + (columns - 30) ** 2 < 20**2
prediction = (rows - 32) ** 2 + (columns - 36) ** 2 < 20**2

figure, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
for ax, mask, title in zip(axes, (target, prediction), ("truth", "prediction"), strict=True):
    ax.imshow(mask, cmap="gray")
    ax.set(title=title, xticks=[], yticks=[])

# %%
# Their IoU:

iou = (prediction & target).sum() / (prediction | target).sum()
course.expect("IoU", iou, about=0.68, within=0.01)
