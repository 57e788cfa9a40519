"""
5. Homework: four networks, five losses
=======================================

Which network and which loss outline skin lesions best? You make a study of it, say before what you expect, find out
what can be said afterwards and what cannot, and end with a report that you can hand in.
"""

# %%
# **You need** lessons 1 and 2, and about a minute of a CPU.
#
# The course's source trains SegNet and three U-Nets with five losses on PH2: 200 photos of skin, 100 to learn from, 50
# to choose by, 50 to test. One training each gives 20 numbers that are close together, and its author ends with "hard
# to say which is better". That is an honest sentence. You will replace it with a verdict.
#
# The four networks
# -----------------
#
# They differ in how they come down and how they come up again. SegNet keeps the places of the maxima and has no skip
# connections; the others have.

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

import segbench
from segbench import course
from segbench.explain.overfitting import diagnose_overfitting
from segbench.folders.run import RunFolder
from segbench.plots.explain import overfitting_curves

counts = {"segnet": 736_129, "unet_unpool": 931_969, "unet_nearest": 931_969, "unet_strided": 1_107_009}
for name, about in counts.items():
    network = segbench.build_network(name, out_channels=1, weights="none")
    course.expect(f"{name}, parameters", sum(each.numel() for each in network.parameters()), about=about, within=0)

# %%
# The whole homework is a file, ``studies/ph2_networks_x_losses.yaml``: four networks times five losses times three
# seeds, 60 trainings.
#
# .. dropdown:: The whole study
#
#    .. literalinclude:: ../../studies/ph2_networks_x_losses.yaml
#       :language: yaml
#
# What it gives stands at the end, for the teacher. Here you run a smaller one of the same kind in a minute: two
# networks, two losses, three seeds, on 40 drawn lesions of 48 x 48 pixels. With ``SEGBENCH_DATA`` set to a folder that
# holds ``ph2``, the same script runs on PH2 with the source's division 100/50/50.
#
# What is expected, before
# ------------------------
#
# Write it down before you train. Afterwards everybody knew it all along. ``expected`` names, for each factor, the value
# that should be best; the report puts it beside what came out.

WORK = Path(tempfile.mkdtemp(prefix="course_ph2_"))  # Path("course_ph2") keeps everything beside this script
PH2 = course.real("ph2")
if PH2:
    DATA = {"path": str(PH2), "format": "ph2", "split": {"method": "permutation", "counts": [100, 50, 50], "seed": 42}}
else:
    lesions = segbench.write_lesions(WORK / "lesions", count=120, size=(96, 96))
    DATA = {"path": str(lesions), "split": {"method": "permutation", "counts": [40, 16, 64], "seed": 42}}

STUDY = {
    "study": "homework",
    "title": "Two networks and two losses",
    "question": "Which network and which loss outline lesions best, and how sure is that?",
    "expected": {"network": "unet_nearest", "loss": "dice"},
    "base": {
        "data": {**DATA, "size": 48, "augment": {"hflip": 0.5, "vflip": 0.5}},
        "optimizer": {"lr": 4e-3},
        "epochs": 12,
        "batch_size": 10,
        "precision": "32",
        "pictures": 0,
        "scores": {"surface": False},
    },
    "vary": {
        "network": {
            "segnet": {"name": "segnet", "widths": [8, 16, 32, 64]},
            "unet_nearest": {"name": "unet_nearest", "widths": [8, 16, 32, 64]},
        },
        "loss": {"bce": {"bce": 1.0}, "dice": {"dice": 1.0}},
        "seed": [0, 1, 2],
    },
    "baseline": {"network": "segnet", "loss": "bce"},
    "score": "iou_per_image",
}
(WORK / "homework.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")

# %%
# What is done
# ------------
#
# In a terminal this is ``segbench study run homework.yaml --out homework``. Killed anywhere, the same command goes on.

FOLDER = WORK / "homework"
command = ["study", "run", str(WORK / "homework.yaml"), "--out", str(FOLDER), "--threads", "1", "--quiet"]
subprocess.run([sys.executable, "-m", "segbench", *command], check=True, stdout=subprocess.DEVNULL)

# %%
# What is reached
# ---------------
#
# The contest that the homework was made for scores every image in steps: nothing up to an IoU of 0.5, a tenth more with
# every 0.05, the full point above 0.95. It is the last column.

comparison = segbench.compare_runs(FOLDER)
contest = segbench.compare_runs(FOLDER, score="thresholded_iou")
print(f"{'entry':20} {'IoU':>6}  {'95 % interval':16} {'each seed':20} {'contest':>7}")
for standing in comparison.verdict.entries:
    entry = next(each for each in comparison.evidence.entries if each.name == standing.name)
    points = next(each for each in contest.verdict.entries if each.name == standing.name)
    seeds = " ".join(f"{value:.3f}" for value in entry.values.mean(axis=1))
    interval = f"[{standing.mean.low:.3f}, {standing.mean.high:.3f}]"
    print(f"{standing.name:20} {standing.mean.value:6.3f}  {interval:16} {seeds:20} {points.mean.value:7.3f}")

# %%
# Look at one row: the same network with the same loss, and three seeds. If you had trained each entry once, which
# seed would you have got, and what would you have written?
#
# The verdict
# -----------

print(*comparison.answer(), sep="\n")
means = {each.name: each.mean.value for each in comparison.verdict.entries}
nets = {net: np.mean([value for name, value in means.items() if net in name]) for net in ("segnet", "unet_nearest")}
losses = {loss: np.mean([value for name, value in means.items() if loss in name]) for loss in ("bce", "dice")}
if not PH2:
    course.expect("unet_nearest minus segnet, IoU", nets["unet_nearest"] - nets["segnet"], about=0.33, within=0.2)
    course.expect("dice minus bce, IoU", losses["dice"] - losses["bce"], about=0.1, within=0.14)
    course.expect("approaches that may be the best", len(comparison.verdict.may_be_best), about=2, within=1)

# %%
# Read it in this order. First the outcome: is there a winner, or not? Then the factors. The network matters: the U-Net
# is ahead, and the interval of the difference is far from 0. The loss matters, too, on average over both networks; but
# look at the table: all of that comes from SegNet. Which loss is better for the *U-Net* is not shown. So "hard to say
# which is better" becomes two sentences: *the U-Net is better than SegNet here*, and *which of its losses is better,
# these trainings do not show*.
#
# Is the model overfitting, and from which epoch?
# -----------------------------------------------
#
# The trainings of the study are too short for that. So here is one that has every chance to: ten images, no
# augmentation, 60 epochs.

few = segbench.fit(
    {
        "data": {**DATA, "size": 32, "split": {**DATA["split"], "counts": [10, 16, 64]}},
        "network": "unet_nearest",
        "loss": "bce",
        "optimizer": {"lr": 2e-3},
        "schedule": "constant",
        "epochs": 60,
        "batch_size": 10,
        "seed": 1,
        "precision": "32",
        "pictures": 0,
        "scores": {"surface": False},
        "output": str(WORK / "ten_images"),
    },
    watch=segbench.Callback(),
)
history = RunFolder(Path(few.run)).read_history()
diagnosis = diagnose_overfitting(
    history, best_epoch=few.result["best_epoch"], monitor="iou_per_image", result=few.result
)
course.show(overfitting_curves(history, diagnosis))
print(
    f"{diagnosis.verdict}; validation loss turns in epoch {diagnosis.turning_epoch}, best epoch {diagnosis.best_epoch}"
)
if not PH2:
    course.expect("training minus validation IoU, best epoch", diagnosis.clean_gap, about=0.36, within=0.2)
    course.expect("training loss, last epoch", history[-1]["train_loss"], about=0.05, within=0.05)

# %%
# Three things to see. The training loss falls to the end, since ten images can be learned by heart. The validation loss
# turns: that is the epoch to name, and it is read from smoothed curves, because single epochs jump. And the validation
# IoU need not fall when the loss rises: the network becomes *surer* of its mistakes before it makes more of them. The
# weights of the best epoch are kept, so what you lose is time.
#
# The report
# ----------
#
# One page with all of this, pictures of the worst cases, and the answers to the homework's questions. In a terminal:
# ``segbench report homework -o report.html``, with ``--lang ru`` in Russian.

files = segbench.report_runs(FOLDER, WORK / "report.html")
told = files.markdown.read_text(encoding="utf-8")
print(*told.splitlines()[:24], sep="\n")

# %%
# What to hand in
# ---------------
#
# The report, and half a page of your own that answers six questions. The report has the facts for each.
#
# ==============================================  =====================================================
# question                                        where the facts are
# ==============================================  =====================================================
# What was done?                                  "Protocol", and ``homework.yaml``
# What was expected?                              the first lines of the report
# What was reached?                               the table of results, with intervals
# How do the approaches differ?                   "What each factor does", and the paired differences
# Is it overfitting, from which epoch?            "Learning curves"
# Which model is best?                            the verdict; "no winner" is an answer
# ==============================================  =====================================================
#
# Tasks
# -----
#
# 1. **From logits to a mask.** Return where the *probability* is above 0.5, as booleans. (The source compared the logit
#    with 0.5.)
# 2. **The contest's score.** ``ious`` has an IoU for each image. Up to 0.5 an image gets 0; then it gets a tenth for
#    every 0.05 that is begun, at most 1. Return the mean over images.
# 3. **Focal loss** (Lin et al. 2017) with gamma 2, mean over pixels, of NumPy arrays: both labels count, and a logit of
#    200 gives no NaN.
# 4. **The turn.** Given the training and validation losses of all epochs, return the last epoch (from 1) before it
#    overfits: the validation loss rises, the training loss falls on. None where that does not happen.
# 5. **Paired.** ``first`` and ``second`` are the scores of two networks on the same images. Return the mean difference,
#    first minus second, and its standard error.
#
# .. code-block:: python
#
#    def mask_from_logits(logits): ...
#    course.check("ph2/mask_from_logits", mask_from_logits)
#
#    def contest_score(ious): ...
#    course.check("ph2/contest_score", contest_score)
#
#    def focal_loss(logits, target): ...
#    course.check("ph2/focal_loss", focal_loss)
#
#    def turning_epoch(train_losses, validation_losses): ...
#    course.check("ph2/turning_epoch", turning_epoch)
#
#    def paired_difference(first, second): ...
#    course.check("ph2/paired_difference", paired_difference)
#
# Questions
# ---------
#
# **The source compares the logit with 0.5. Which probability is that, and whom does it hurt?**
#
# .. dropdown:: Answer
#
#    0.622. Every network loses pixels of which it is only a little sure, most where the loss keeps probabilities near
#    0.5, as focal loss does. So the comparison of losses is not fair.
#
# **Validation scores of .762 and .758, one training each, 50 images. What do you write?**
#
# .. dropdown:: Answer
#
#    That they cannot be told apart. The difference is smaller than that between two seeds of one network.
#
# **You train ten more seeds of your favourite, since it is not ahead yet. What is wrong?**
#
# .. dropdown:: Answer
#
#    Whoever looks until the result pleases will find it. Plan the looks before (``looks`` in the study), and give
#    all approaches the same seeds.
#
# **Why is the test part scored once?**
#
# .. dropdown:: Answer
#
#    Every choice that you make by the test score fits these 50 images a little, and the score is then too good for
#    the next patient. segbench counts how often it was scored.
#
# For the teacher
# ---------------
#
# .. dropdown:: Expected results, spread, and where students stumble
#
#    The small study, test IoU per image, seeds 0, 1, 2, 64 test images:
#
#    =====================  =====================
#    entry                  the three seeds
#    =====================  =====================
#    segnet, bce            .260  .061  .205
#    segnet, dice           .474  .360  .361
#    unet_nearest, bce      .683  .556  .580
#    unet_nearest, dice     .635  .683  .568
#    =====================  =====================
#
#    SegNet has hardly begun to learn in 48 steps: it is slower, not only worse. Let students double ``epochs``, and
#    the gap shrinks. That two trainings of one entry differ by .13 is the point of the lesson.
#
#    The whole study on PH2 at its scale ``small`` (64 px, half as wide, two seeds, 40 trainings, 10 minutes of one
#    core): best mean ``unet_nearest`` with Dice, .849 [.807, .883]; no winner, 15 of 20 approaches may be the best, and
#    all 15 U-Nets are better than SegNet with cross-entropy. ``unet_nearest`` minus SegNet +.086 [+.045, +.127], Dice
#    minus structural similarity with cross-entropy +.020 [+.007, +.032]. The full size takes about 51 hours of one
#    core. The homework's own network and settings, 128 px and 40 epochs, reach .848 and .841 with two seeds.
#
#    The course's source, validation score of the contest, one seed each: .762 (segnet, cross-entropy), .758 (segnet,
#    Dice), .718 (segnet, focal), .778 (segnet, cross-entropy and structural similarity), .772 (unet_unpool), .766
#    (unet_nearest) and .754 (unet_strided) with cross-entropy; best test score .84 (unet_nearest, Dice); worst
#    unet_strided with focal.
#
#    Students stumble over three things. They call the first row of a table the best. They read overlapping intervals
#    as "equal", or as "no difference"; let them read the paired difference instead. And they name the epoch of the
#    single lowest validation loss, which is luck; let them smooth first.
