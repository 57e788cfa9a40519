"""What goes wrong in a training, told while it goes wrong: read off the rows of `metrics.csv` and the last validation.

A false alarm is worse than silence: every rule waits until a healthy run would have got over what it looks for, and
asks for a size that noise does not have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segbench.config.length import RunPlan
from segbench.config.loss import WeightSchedule
from segbench.config.run import RunConfig
from segbench.config.text import LENGTH_KEYS
from segbench.locale import Message, from_plain, listed, message, plural, to_plain
from segbench.metrics.counts import Counts
from segbench.metrics.families import label_of
from segbench.speech import argument
from segbench.statistics.turning import find_turn, level_at
from segbench.types import ClassMap, Task

BoolArray = npt.NDArray[np.bool_]

PREDICTED_FRAC = 0.01  # of a class's true pixels; fewer predicted ones are specks of a network that does not find it
EPOCHS_IN_A_ROW = 3  # what one epoch shows may be over in the next
LEARNED_GAIN = 0.2  # a training score so far above validation's is no noise of some ten images
# From this share of the run on, a rate that rises at first (one cycle: 0.3 of the run) has been at its highest.
WARMED_UP_FRAC = 0.4
FEWEST_STEPS = 60  # networks from random weights may show the background alone for some ten steps
FLAT_FRAC = 0.01  # of the loss; a tenth of what a network that learns gains in its first epochs
SLOW_FRAC = 0.1
LITTLE_GAIN = 0.04  # of a score; a network that learns gains more in its first epochs
GOOD_SCORE = 0.8  # a loss that stands still up here has arrived
# Rates that are usual for networks of this kind; beyond, a loss that does not fall is the rate's fault.
# Optimiser -> lowest, middle, highest.
USUAL_RATES = {"adamw": (1e-4, 1e-3, 1e-2), "adam": (1e-4, 1e-3, 1e-2), "sgd": (3e-3, 3e-2, 0.5)}
LOST_FRAC = 0.5  # of what the training loss had gained; batches' noise is far below
OVERFIT_RISE_FRAC = 0.1  # of the lowest validation loss; below, the scores hardly notice
WORTH_SCORE = 0.01  # what a person would call another result
STEEP = 3.0  # standard errors of a slope
OVERFIT_EPOCHS = 10  # below, two windows of five epochs overlap
LATE_FRAC = 2 / 3  # rare classes come late; one that is not there now is not coming
LATE_STEPS = 200  # a run that is shorter lacks steps, not weights of classes
_OVERLAP = {"dice", "jaccard", "lovasz", "tversky", "focal_tversky", "pixel_dice"}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that goes wrong, and what to do about it.

    Attributes:
        code: `one_class`, `loss_flat`, `not_finite`, `overfits`, `still_improving`, `learning_rate` or
            `class_never_predicted`.
        epoch: that showed it, from 1.
        sentence: what is wrong.
        advice: one change that helps; names the key of the config.
    """

    code: str
    epoch: int
    sentence: Message
    advice: Message

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for `alerts.json` and `result.json`; `said` is what other languages are made of."""
        said = {"sentence": to_plain(self.sentence), "advice": to_plain(self.advice)}
        texts = {"sentence": str(self.sentence), "advice": str(self.advice)}  # a checkpoint holds plain text alone
        return {"code": self.code, "epoch": self.epoch, **texts, "said": said}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Alert:
        """Returns the alert that `to_dict` wrote."""
        said = plain.get("said", plain)  # runs begun before it was written tell it in English
        sentence, advice = (from_plain(said[key]) for key in ("sentence", "advice"))
        return cls(code=plain["code"], epoch=plain["epoch"], sentence=sentence, advice=advice)


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a run shows after an epoch.

    Attributes:
        config, plan, class_map: of the run.
        history: rows of `metrics.csv` up to this epoch; `val_classes_predicted` is what `predicted_classes` counts.
        counts: of the last validation.
        recomputed: whether BatchNorm's statistics are estimated before every validation, or there is none.
        ended: whether this was the last epoch.
    """

    config: RunConfig
    plan: RunPlan
    class_map: ClassMap
    history: Sequence[Mapping[str, float]]
    counts: Counts
    recomputed: bool
    ended: bool

    @property
    def epoch(self) -> int:
        """Epochs that are through."""
        return len(self.history)

    @property
    def score(self) -> str:
        """The score that is looked at."""
        return main_score(self.config)

    def column(self, key: str) -> npt.NDArray[np.float64]:
        """Returns a column of the history."""
        return np.array([row.get(key, math.nan) for row in self.history], dtype=np.float64)

    @property
    def is_warmed_up(self) -> bool:
        """Whether a healthy run would have begun to learn."""
        enough = self.epoch >= WARMED_UP_FRAC * self.plan.epochs
        return self.ended or (enough and self.plan.steps_before(self.epoch) >= FEWEST_STEPS)

    @property
    def losses_compare(self) -> bool:
        """Whether the losses of two epochs are the same sum; not where weights in it move."""
        return not any(isinstance(term.weight, WeightSchedule) for term in self.config.loss)


def main_score(config: RunConfig) -> str:
    """Returns the score that a run is judged by: the monitored one; where that is the loss, IoU per image."""
    return "iou_per_image" if config.monitor == "loss" else config.monitor


def predicted_classes(counts: Counts) -> BoolArray:
    """Returns (C,): which classes are predicted, on at least a hundredth as many pixels as they have."""
    if counts.task is Task.MULTILABEL:
        cells = counts.confusion.sum(axis=0)
        predicted, true = cells[:, :, 1].sum(axis=1), cells[:, 1, :].sum(axis=1)
    else:
        cells = counts.confusion.sum(axis=0)
        predicted, true = cells.sum(axis=0), cells.sum(axis=1)
    found: BoolArray = (predicted > 0) & (predicted >= PREDICTED_FRAC * true)
    return found


def shown_classes(counts: Counts) -> BoolArray:
    """Returns (C,): which classes the masks show."""
    cells = counts.confusion.sum(axis=0)
    true = cells[:, 1, :].sum(axis=1) if counts.task is Task.MULTILABEL else cells.sum(axis=1)
    shown: BoolArray = true > 0
    return shown


def is_collapsed(counts: Counts, score: float) -> bool:
    """Tells whether a network is of no use: it predicts one class only although masks show more, or scores 0."""
    more = int(shown_classes(counts).sum()) > _alone(counts)
    return score == 0.0 or (more and int(predicted_classes(counts).sum()) <= _alone(counts))


def find_alerts(course: Course, told: Sequence[Alert]) -> list[Alert]:
    """Returns what goes wrong and was not told yet; every code is told once.

    One cause is told as one thing: a network that predicts one class is not also told to be flat, say.
    """
    codes = {alert.code for alert in told}
    found = []
    for rule in (_one_class, _bad_rate, _flat, _overfits, _never_predicted, _still_improving):
        alert = rule(course)
        if alert is not None and alert.code not in codes and not codes & _EXPLAINED_BY.get(alert.code, set()):
            found.append(alert)
            codes.add(alert.code)
    return found


# Code -> what explains it, where that was told already.
_EXPLAINED_BY = {
    "loss_flat": {"one_class", "learning_rate"},
    "one_class": {"learning_rate", "loss_flat"},
    "learning_rate": {"one_class", "loss_flat"},
    "class_never_predicted": {"one_class", "learning_rate", "loss_flat"},
    "overfits": {"one_class", "learning_rate"},
    "still_improving": {"one_class", "learning_rate", "overfits"},
}


def not_finite(config: RunConfig, epoch: int, sentence: Message) -> Alert:
    """Returns the alert of a loss that became infinite or no number."""
    advice = _lower_rate(config)
    if config.precision == "16-mixed":
        advice = message("{advice}; 16-mixed overflows easily, precision 32 does not", advice=advice)
    return Alert(code="not_finite", epoch=epoch, sentence=sentence, advice=advice)


def _one_class(course: Course) -> Alert | None:
    """The validation images get one class only: badly estimated statistics, or a network that has collapsed."""
    shown = shown_classes(course.counts)
    alone = _alone(course.counts)
    if int(shown.sum()) <= alone:
        return None
    few = course.column("val_classes_predicted") <= alone
    ahead = course.column(f"train_{course.score}") - course.column(f"val_{course.score}") >= LEARNED_GAIN
    which = [
        name for name, found in zip(course.class_map.names, predicted_classes(course.counts), strict=True) if found
    ]
    what = (
        message("the network predicts {name} only on every validation image", name=which[0])
        if which
        else message("the network predicts nothing at all on every validation image")
    )
    if _in_a_row(few & ahead) >= EPOCHS_IN_A_ROW - 1:
        sentence = message("{what}, though it does well on the training images", what=what)
        return _alert(course, "one_class", sentence, _advice_on_evaluation(course))
    if course.is_warmed_up and _in_a_row(few) >= min(EPOCHS_IN_A_ROW, course.plan.epochs):
        return _alert(course, "one_class", what, _advice_on_collapse(course))
    return None


def _advice_on_evaluation(course: Course) -> Message:
    if not course.recomputed:
        return message("set norm_statistics to recomputed: the statistics of BatchNorm lag behind the weights")
    if course.config.ema_decay is not None:
        return message("leave ema_decay out: the averaged weights lag behind")
    return message(
        "validation shows other images than training: look at both with `segbench data check`, and divide them anew "
        "with another data.split.seed"
    )


def _advice_on_collapse(course: Course) -> Message:
    config = course.config
    if not any(term.name in _OVERLAP for term in config.loss):
        name = config.loss[0].name
        loss = f"{{dice: 0.5, {name}: 0.5}}"
        return message("add a loss of overlap, which rare classes weigh in: set loss to {loss}", loss=loss)
    return _lower_rate(config)


def _bad_rate(course: Course) -> Alert | None:
    """A learning rate far off: the training loss rises again and stays up, or hardly falls at a tiny rate."""
    losses = course.column("train_loss")
    if not course.losses_compare or course.epoch < EPOCHS_IN_A_ROW:
        return None
    rate = course.config.optimizer.lr
    lowest = float(losses.min())
    lost = losses - lowest >= max(LOST_FRAC * (losses[0] - lowest), SLOW_FRAC * abs(losses[0]))
    after = int(losses.argmin())
    if after < course.epoch - 2 and lost[after + 1 :][-2:].all():
        sentence = message(
            "the training loss rose from {lowest} in epoch {epoch} to {now} and stays there",
            lowest=f"{lowest:.4g}",
            epoch=after + 1,
            now=f"{losses[-1]:.4g}",
        )
        return _alert(course, "learning_rate", sentence, _lower_rate(course.config))
    low, usual, high = USUAL_RATES[course.config.optimizer.name]
    if course.is_warmed_up and _is_slow(course) and not low <= rate <= high:
        sentence = message(
            "the training loss hardly falls: {first} in the first epoch, {now} now",
            first=f"{losses[0]:.4g}",
            now=f"{losses[-1]:.4g}",
        )
        far = (
            message("the rate {rate} is far below what is usual", rate=f"{rate:g}")
            if rate < low
            else message("the rate {rate} is far above what is usual", rate=f"{rate:g}")
        )
        advice = message(
            "{far}: set optimizer.lr to {usual}, and begin again with {restart}",
            far=far,
            usual=f"{usual:g}",
            restart=argument("restart", True),
        )
        return _alert(course, "learning_rate", sentence, advice)
    return None


def _flat(course: Course) -> Alert | None:
    """The training loss stands still, and no score rises, at a usual rate."""
    losses = course.column("train_loss")
    recent = losses[-max(EPOCHS_IN_A_ROW, course.epoch // 2) :]
    if not course.losses_compare or not course.is_warmed_up or len(recent) < EPOCHS_IN_A_ROW or not _is_slow(course):
        return None
    if recent.max() - recent.min() > FLAT_FRAC * abs(recent.max()):
        return None
    sentence = message("the training loss stands still at {loss}, and the scores do not rise", loss=f"{losses[-1]:.4g}")
    return _alert(course, "loss_flat", sentence, _lower_rate(course.config))


def _is_slow(course: Course) -> bool:
    """Whether neither loss nor scores have got anywhere, from where there was somewhere to get."""
    losses, scores = course.column("train_loss"), course.column(f"train_{course.score}")
    val = course.column(f"val_{course.score}")
    gain = max(_rise(scores), _rise(val))
    fell = losses[0] - losses[-2:].mean() >= SLOW_FRAC * abs(losses[0])
    return not fell and gain < LITTLE_GAIN and not _highest(scores) >= GOOD_SCORE


def _overfits(course: Course) -> Alert | None:
    """The validation loss rises for good while the training loss goes on falling, and the score is past its best."""
    early = course.epoch < max(OVERFIT_EPOCHS, WARMED_UP_FRAC * course.plan.epochs)
    if early or not course.losses_compare:
        return None
    train, val, scores = (course.column(key) for key in ("train_loss", "val_loss", f"val_{course.score}"))
    if not (np.isfinite(train).all() and np.isfinite(val).all() and np.isfinite(scores).all()):
        return None
    turn, last = find_turn(val), course.epoch - 1
    fall = level_at(train, turn.position, turn.window) - level_at(train, last, turn.window)
    lowest = level_at(val, turn.position, turn.window)
    best = max(level_at(scores, position, turn.window) for position in range(course.epoch))
    past = best - level_at(scores, last, turn.window) >= WORTH_SCORE
    if not (turn.rises and turn.rise >= OVERFIT_RISE_FRAC * lowest and fall > 0.0 and past):
        return None
    sentence = message(
        "since about epoch {epoch} the validation loss rises while the training loss falls", epoch=turn.position + 1
    )
    return _alert(course, "overfits", sentence, _advice_on_overfitting(course.config, turn.position + 1))


def _advice_on_overfitting(config: RunConfig, epoch: int) -> Message:
    augment = config.data.augment
    if augment.rotate_deg < 30.0 and augment.brightness < 0.2:
        return message("set data.augment to strong; the weights of the best epoch are kept anyway")
    return message(
        "{enough} epochs are enough, more labelled images help most; the weights of the best epoch are kept anyway",
        enough=epoch + max(2, epoch // 5),
    )


def _never_predicted(course: Course) -> Alert | None:
    """A class that validation masks show is predicted nowhere, late in the run."""
    if course.counts.task is Task.BINARY or not (course.ended or course.epoch >= LATE_FRAC * course.plan.epochs):
        return None
    if course.plan.steps_before(course.epoch) < LATE_STEPS:
        return None
    cells = course.counts.confusion.sum(axis=0)
    multilabel = course.counts.task is Task.MULTILABEL
    predicted = cells[:, :, 1].sum(axis=1) if multilabel else cells.sum(axis=0)
    scored = course.class_map.scored_classes
    missing = [index for index in scored if shown_classes(course.counts)[index] and not predicted[index]]
    number = course.column("val_classes_predicted")[-EPOCHS_IN_A_ROW:]
    if not missing or (number > number[-1]).any():
        return None
    names = listed([course.class_map.names[index] for index in missing])
    sentence = plural(
        "no validation image gets the class {names}, though their masks show it",
        "no validation image gets the classes {names}, though their masks show them",
        n=len(missing),
        names=names,
    )
    return _alert(course, "class_never_predicted", sentence, _advice_on_rare(course))


def _advice_on_rare(course: Course) -> Message:
    main, key = ("bce", "pos_weight") if course.counts.task is Task.MULTILABEL else ("cross_entropy", "class_weights")
    weighted = f"{main}: {{weight: 0.5, {key}: inverse_frequency}}"
    if not any(term.options.get(key) for term in course.config.loss):
        return message("weigh rare classes more: set loss to {loss}", loss=f"{{dice: 0.5, {weighted}}}")
    return message("show the class more often: set data.augment.copy_paste_p to 0.5, or label more images of it")


def _still_improving(course: Course) -> Alert | None:
    """At the end the score still rises by more than noise."""
    window = max(2, course.epoch // 8)
    if not course.ended or course.epoch < max(course.plan.epochs, 2 * window):
        return None
    scores = course.column(f"val_{course.score}")
    if not np.isfinite(scores).all():
        return None
    gain = float(scores[-window:].mean() - scores[-2 * window : -window].mean())
    is_highest = bool(scores[-window:].max() >= scores.max())
    if not (gain >= WORTH_SCORE and is_highest and _slope_in_errors(scores[-max(4, course.epoch // 3) :]) >= STEEP):
        return None
    sentence = message(
        "the validation {score} was still rising at the end, by {gain} over the last {n} epochs",
        score=label_of(course.score),
        gain=f"{gain:.3f}",
        n=window,
    )
    given = {key: getattr(course.config, key) for key in LENGTH_KEYS}
    key, value = next((key, value) for key, value in given.items() if value is not None)
    advice = message(
        "train longer: set {key} to {value}, and begin again with another output", key=key, value=f"{2 * value:g}"
    )
    return _alert(course, "still_improving", sentence, advice)


def _lower_rate(config: RunConfig) -> Message:
    highest_usual = USUAL_RATES[config.optimizer.name][-1]
    values = {"rate": f"{min(config.optimizer.lr / 10, highest_usual):g}", "restart": argument("restart", True)}
    if config.grad_clip is not None:
        return message("set optimizer.lr to {rate}, and begin again with {restart}", **values)
    return message("set optimizer.lr to {rate} and grad_clip to 1, and begin again with {restart}", **values)


def _alert(course: Course, code: str, sentence: Message, advice: Message) -> Alert:
    return Alert(code=code, epoch=course.epoch, sentence=sentence, advice=advice)


def _alone(counts: Counts) -> int:
    """Returns how many classes a mask shows that tells nothing; a multilabel mask may be empty."""
    return 0 if counts.task is Task.MULTILABEL else 1


def _in_a_row(flags: BoolArray) -> int:
    """Returns how many of the last flags are true without a gap."""
    wrong = np.flatnonzero(~flags)
    return len(flags) - 1 - int(wrong[-1]) if wrong.size else len(flags)


def _slope_in_errors(values: npt.NDArray[np.float64]) -> float:
    """Returns the slope of a straight line through at least 3 values, in its standard errors."""
    if len(values) < 3:
        return math.nan
    place = np.arange(len(values), dtype=np.float64) - (len(values) - 1) / 2
    spread = float((place**2).sum())
    slope = float((place * values).sum()) / spread
    left_over = values - values.mean() - slope * place
    error = math.sqrt(float((left_over**2).sum()) / (len(values) - 2) / spread)
    return slope / error if error > 0.0 else math.copysign(math.inf, slope)


def _highest(scores: npt.NDArray[np.float64]) -> float:
    """Returns the largest that is defined; NaN where none is."""
    return float(max(scores[np.isfinite(scores)], default=math.nan))


def _rise(scores: npt.NDArray[np.float64]) -> float:
    finite = scores[np.isfinite(scores)]
    return _highest(scores) - float(finite[0]) if finite.size else 0.0
