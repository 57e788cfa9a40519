"""
1. The lecture: a class for every pixel
=======================================

You learn what semantic segmentation asks of a network, why fully convolutional networks with an encoder and a decoder
answer it, and what the numbers IoU and Dice count.
"""

# %%
# **You need** Python and NumPy; half a minute of a CPU. No data set: the lesson draws what it shows.
#
# Pixels as classes
# -----------------
#
# Annotation tools do not store masks. They store outlines (polygons), run lengths, and regions where many objects were
# outlined as one crowd. Here is a file in the form of COCO with all three, for one image of 96 x 128 pixels.

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import segbench
from segbench import course
from segbench.data.synthetic.write import lesion
from segbench.plots.samples import overlap
from segbench.plots.upsampling import transposed, unpooling, upsampling

WORK = Path(tempfile.mkdtemp(prefix="course_lecture_"))
torch.manual_seed(0)

# Run lengths count pixels down the columns, in turn without and with the object: 100 columns of nothing, then ten with
# 20 pixels of a person at the top, and nothing in the rest.
runs = [96 * 100]
for _ in range(10):
    runs += [20, 76]
runs[-1] += 96 * 128 - sum(runs)
person, dog = {"id": 1, "name": "person"}, {"id": 2, "name": "dog"}
annotations = [
    {"category_id": 1, "iscrowd": 0, "segmentation": [[10, 20, 40, 10, 50, 80, 15, 85]]},  # a polygon: x, y, x, y, ...
    {"category_id": 1, "iscrowd": 0, "segmentation": {"size": [96, 128], "counts": runs}},
    {"category_id": 1, "iscrowd": 1, "segmentation": {"size": [96, 128], "counts": [0, 96 * 6, 96 * 122]}},  # a crowd
    {"category_id": 2, "iscrowd": 0, "segmentation": [[60, 40, 90, 40, 90, 70, 60, 70]]},
]
for number, each in enumerate(annotations, start=1):
    each |= {"id": number, "image_id": 1, "area": 1, "bbox": [0, 0, 1, 1]}
images = [{"id": 1, "file_name": "street.jpg", "height": 96, "width": 128}]
file = WORK / "instances.json"
file.write_text(json.dumps({"images": images, "categories": [person, dog], "annotations": annotations}))

# %%
# The mask of one class is the union of its objects. Crowds are left out: nobody outlined the single persons there. (Left
# out of this mask they look like background. For training and scores they need a label of their own that counts nowhere;
# ``segbench`` gives them one when it reads a data set in the form of COCO.)

mask = segbench.category_mask(file, "street", "person")
with_crowd = segbench.category_mask(file, "street", "person", crowd="include")
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for ax, each, title in zip(axes, (mask, with_crowd), ("person", "person, with the crowd"), strict=True):
    ax.imshow(each, cmap="gray")
    ax.set(title=title, xticks=[], yticks=[])
course.expect("share of the image that is a person", mask.mean(), about=0.2, within=0.01)

# %%
# Three ways to classify every pixel
# ----------------------------------
#
# 1. **Sliding window.** Cut out a patch around each pixel and classify the patch. Right, and slow: neighbours share
#    almost all of their patch, and nothing is shared in the computation.
# 2. **Full resolution.** Stack 3x3 convolutions without ever shrinking the map. Every layer adds one pixel on each side
#    to what a pixel sees: L layers see 1 + 2L pixels. Seeing far is expensive.
# 3. **Fully convolutional, with down- and upsampling** (Long et al. 2015). Shrink the map, and every 3x3 convolution
#    sees twice as far for a quarter of the cost. Then enlarge the answer.
#
# `segbench.describe` counts cost (multiply-adds) and field of view without training anything.

table = []
for name in ("sliding_window", "full_resolution_conv", "simple_fcn"):
    told = segbench.describe(segbench.build_network(name), (128, 128))
    table.append((name, told.macs / 1e9, told.receptive_field_px))
    print(
        f"{name:22} {told.macs / 1e9:8.2f} billion multiply-adds, sees {told.receptive_field_px[0]} x {told.receptive_field_px[1]} pixels"
    )
layers = 6
stack = nn.Sequential(*[nn.Conv2d(3 if not n else 4, 4, 3, padding=1) for n in range(layers)])
seen = segbench.describe(stack, (64, 64)).receptive_field_px
course.expect(f"field of view of {layers} layers 3x3, pixels", float(np.max(seen)), about=1 + 2 * layers, within=0)

# %%
# A 1x1 convolution is a linear layer
# -----------------------------------
#
# A classifier ends in a linear layer on a vector of features. Applied to every pixel's vector it is a 1x1 convolution,
# with the same weights. That is why a classification network becomes a segmentation network, for images of any size.

features = torch.randn(1, 8, 5, 7)
linear = nn.Linear(8, 3)
convolution = nn.Conv2d(8, 3, 1)
convolution.weight.data = linear.weight.data[:, :, None, None]
convolution.bias.data = linear.bias.data
one_by_one = linear(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
difference = (convolution(features) - one_by_one).abs().max().item()
course.expect("largest difference", difference, about=0, within=1e-5)

# %%
# Upsampling
# ----------
#
# The answer must be as large as the image again. Nearest, bilinear and bicubic interpolation learn nothing; max-unpooling
# puts values back where the maximum came from; a transposed convolution learns how to enlarge.

image, _ = lesion(seed=1, index=0, size=(96, 128))
course.show(upsampling(image))

# %%
# Max pooling keeps the largest of four values. Unpooling puts it back to its place and leaves zeros elsewhere: edges stay
# where they were, which nearest upsampling cannot do.

course.show(unpooling(image))

# %%
# A transposed convolution stamps its kernel once for every input value. Where the stride does not divide the kernel the
# stamps overlap unevenly: a checkerboard. A kernel of 4 with stride 2 doubles the size only with padding 1.

course.show(transposed())
doubled = nn.ConvTranspose2d(1, 1, kernel_size=4, stride=2, padding=1)(torch.zeros(1, 1, 4, 4))
course.expect("side of 4 pixels after it", doubled.shape[-1], about=8, within=0)

# %%
# Encoders and decoders
# ---------------------
#
# - **FPN** (Lin et al. 2017): predictions from several scales; deep maps are enlarged and *added* to shallow ones.
# - **U-Net** (Ronneberger et al. 2015): the decoder *concatenates* the encoder's map of the same size. These skip
#   connections bring back where an edge was. Lesson 2 takes them away and measures.
# - **DeepLab** (Chen et al. 2017): do not shrink so much; put holes into the kernels instead. Dilation d makes a 3x3
#   kernel as wide as 2d + 1 pixels, for the cost of 3x3. Lesson 4 uses several at once (ASPP).

for name, options in (("unet_nearest", {}), ("smp/fpn", {}), ("smp/deeplabv3plus", {})):
    told = segbench.describe(segbench.build_network(name, **options), (128, 128))
    sees = "{} x {} pixels".format(*told.receptive_field_px) if told.receptive_field_px else "the whole image"
    print(f"{name:20} {told.parameters / 1e6:6.2f} million parameters, sees {sees}")
wide = segbench.describe(nn.Conv2d(3, 1, 3, padding=6, dilation=6), (64, 64)).receptive_field_px
course.expect("width of a 3x3 kernel with dilation 6", float(np.max(wide)), about=13, within=0)

# %%
# Overlap: IoU and Dice
# ---------------------
#
# Of the pixels of a class, TP are found, FP are claimed wrongly, FN are missed:
#
# .. math:: \mathrm{IoU} = \frac{TP}{TP + FP + FN} \qquad \mathrm{Dice} = F_1 = \frac{2\,TP}{2\,TP + FP + FN}
#
# Both are 1 where the masks are equal and 0 where they do not touch. They always order two predictions of one image the
# same way, because Dice = 2 IoU / (1 + IoU). Accuracy also counts the background, and looks good for an empty mask.

rows, columns = np.mgrid[:96, :128]
truth = (rows - 48) ** 2 + (columns - 60) ** 2 < 26**2
prediction = (rows - 50) ** 2 + (columns - 68) ** 2 < 24**2
course.show(overlap(truth, prediction, image=image, name="a circle"))
iou = (truth & prediction).sum() / (truth | prediction).sum()
dice = 2 * (truth & prediction).sum() / (truth.sum() + prediction.sum())
course.expect("IoU", iou, about=0.645, within=0.005)
course.expect("Dice", dice, about=0.785, within=0.005)
course.expect("2 IoU / (1 + IoU), minus Dice", 2 * iou / (1 + iou) - dice, about=0, within=1e-9)
course.expect("accuracy", (truth == prediction).mean(), about=0.93, within=0.01)
course.expect("accuracy of an empty mask", (truth == 0).mean(), about=0.83, within=0.01)

# %%
# segbench and scikit-learn count the same.

scores = segbench.score_masks([prediction.astype(np.uint8)], [truth.astype(np.uint8)], ["background", "object"])
for name in ("iou", "dice"):
    print(f"{name} of the object: {scores.pooled[name][1]:.3f}")
try:
    from sklearn.metrics import f1_score, jaccard_score
except ImportError:
    print("scikit-learn is not installed here")
else:
    print("the same IoU:", np.isclose(jaccard_score(truth.ravel(), prediction.ravel()), iou))
    print("the same Dice:", np.isclose(f1_score(truth.ravel(), prediction.ravel()), dice))

# %%
# Targets: binary, multiclass, multilabel
# ---------------------------------------
#
# - **Binary**: one channel, a logit for "object". The probability is its sigmoid.
# - **Multiclass**: C channels, a pixel has exactly one class. Softmax over the channels; the target holds indices.
# - **Multilabel**: C channels, a pixel may have several classes or none. A sigmoid for each channel.
#
# A trap: softmax over *one* channel is always 1, so its cross-entropy is always 0. The network learns nothing, and no
# error tells you. segbench refuses it.

logits, target = torch.randn(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long)
course.expect("cross-entropy with one channel", F.cross_entropy(logits, target).item(), about=0, within=0)
try:
    segbench.build_loss("cross_entropy")(logits, target)
except ValueError as error:
    print("segbench says:", error)

# %%
# Losses
# ------
#
# - **Of the distribution**: (binary) cross-entropy and focal ask every pixel by itself. Smooth, and blind to how many
#   pixels an object has: where 1 % is object, "nothing anywhere" costs little.
# - **Of the region**: Dice and Jaccard ask for the overlap, so that a small object counts as much as a large one. Their
#   gradient is rough where nothing overlaps yet.
# - **Of the boundary**: how far wrong pixels are from the true edge. Weak alone at the start.
# - **Compound**: beta x region + (1 - beta) x distribution, the usual choice.
#
# The same mistake (a prediction that finds nothing) for a large and for a small object:

size = 64
large, small = torch.zeros(2, 1, size, size, dtype=torch.long)
large[:, 8:56, 8:56] = 1
small[:, 30:34, 30:34] = 1
nothing = torch.full((1, 1, size, size), -4.0)
for name in ("bce", "focal", "dice", "jaccard"):
    loss = segbench.build_loss(name)
    print(f"{name:8} large object {loss(nothing, large).item():.3f}   small object {loss(nothing, small).item():.3f}")
compound = segbench.build_loss({"dice": 0.5, "bce": 0.5})(nothing, small).item()
parts = [segbench.build_loss(name)(nothing, small).item() for name in ("dice", "bce")]
course.expect("half of each, minus the compound", sum(parts) / 2 - compound, about=0, within=1e-6)

# %%
# Tasks
# -----
#
# Write the functions and let them be checked; a wrong answer is told with the input it fails on.
#
# .. code-block:: python
#
#     def iou(prediction, target): ...            # two boolean masks -> a number
#     course.check("lecture/iou", iou)
#
#     def field_of_view(layers, dilation): ...    # layers of 3x3 with that dilation -> pixels
#     course.check("lecture/field_of_view", field_of_view)
#
#     def runs_to_mask(counts, height, width): ...   # COCO's run lengths -> boolean mask (height, width)
#     course.check("lecture/runs_to_mask", runs_to_mask)
#
# Questions
# ---------
#
# .. dropdown:: A network answers "background" everywhere and has an accuracy of 97 %. What is its IoU of the object?
#
#    0: no pixel of the object is found. Look at the score of the class you care about, never at accuracy alone.
#
# .. dropdown:: Network A has a Dice of 0.90 on an image. What is its IoU?
#
#    IoU = Dice / (2 - Dice) = 0.90 / 1.10 = 0.82. The same prediction; compare only numbers of one kind.
#
# .. dropdown:: Why does unpooling keep edges where nearest upsampling moves them?
#
#    Pooling remembers at which of the four places the maximum stood, and unpooling uses that place again.
#
# .. dropdown:: For the teacher
#
#    Everything here is exact or seeded: the expected values hold on every machine, with no spread over seeds. It runs in
#    about 10 s. Students stumble over three things. Run lengths go down the columns, not along the rows. A dilation
#    larger than the map sees nothing but the padding (lesson 4). A union counted as the sum of both areas gives an IoU
#    that is too small and never 1. The course's source shows a network in training mode when it predicts: ask what
#    dropout and batch normalisation do then.
