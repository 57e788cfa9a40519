"""What a score is, as data: formula, level, classes, ignored label, rule for absent classes, threshold, size, n.

A number without these cannot be compared with another one, so every file of scores has its definitions beside it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.files import write_json
from segbench.locale import Message, join, listed, message
from segbench.metrics.measure import SUMMARY_TEXT, Better, Level, Score
from segbench.types import ORIGINAL, ClassMap, Size, Task

OWN_SIZE = message("each image's own size")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What one number means.

    Attributes:
        name: key of the score, as in `segbench.metrics.SCORES`.
        formula: of one class, or what is measured.
        level: `pooled`, computed once from the pixels of all images; or `per image`, then summarised over images.
        summary: how the values of the images become one number; empty for a pooled score.
        classes: names of the classes that are averaged; empty where the score knows no classes.
        classes_valued: how many of them have a value, and so are in a pooled mean; None for a score per image, where
            that differs from image to image, and where the score knows no classes.
        absent: rule for classes without pixels; empty where there is none.
        decision: how a pixel got its predicted label.
        threshold: of the probability, binary and multilabel; None: not stated, or none is used.
        resolution: the size at which prediction and truth were compared; empty: not stated.
        ignore_index: label of pixels in the target that count nowhere.
        unit: `share` (0 to 1), `px` (pixels) or `relative` (to the true area).
        better: `higher`, `lower`, or `zero`: the nearer 0.
        lowest, highest: ends of the range.
        n: images scored.
        n_valued: images among them that have a value; None for a pooled score.

    Texts are messages where segbench made them.
    """

    name: str
    formula: str
    level: Level
    summary: str
    classes: tuple[str, ...]
    classes_valued: int | None = None
    absent: str
    decision: str
    threshold: float | None
    resolution: str
    ignore_index: int
    unit: str = "share"
    better: Better = "higher"
    lowest: float = 0.0
    highest: float = 1.0
    n: int
    n_valued: int | None = None

    @property
    def sentence(self) -> Message:
        """Returns everything in one sentence, for people."""
        return join("", [join("; ", [self.rule, self.conditions]), "."])

    @property
    def rule(self) -> Message:
        """Returns how the score is computed, without its conditions."""
        if self.level == "per image":
            what = message("{formula} of each image", formula=self.formula)
        else:
            what = message("{formula} of the pixels of all images together", formula=self.formula)
        parts = [join(", ", filter(None, (what, self._over(), self.summary))), self.absent]
        return join("; ", filter(None, parts))

    @property
    def conditions(self) -> Message:
        """Returns what does not depend on the score: decision, size, ignored label and n."""
        return join("; ", self._conditions())

    @property
    def short(self) -> str:
        """Returns the part of the sentence that tells this score from the others of a table; see `footnote`."""
        where = "each image" if self.level == "per image" else "all images together"
        over = self._over_valued() if self._lacks_classes() else ""
        what = ", ".join(part for part in (self.formula.removesuffix(","), where, over, self.summary) if part)
        return f"{what}; {self.absent}" if self.absent else what

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, with the sentence; what was not stated and an endless range end are null."""
        plain: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "lowest":
                plain["range"] = [end if math.isfinite(end) else None for end in (self.lowest, self.highest)]
            elif name != "highest":
                plain[name] = value
        return {
            **plain,
            "classes": list(self.classes),
            "resolution": self.resolution or None,
            "sentence": self.sentence,
        }

    def _over(self) -> str:
        if not self.classes:
            return ""
        if len(self.classes) == 1:
            return message("class {name}", name=self.classes[0])
        if self._lacks_classes():
            return message("{mean} (of {names})", mean=self._over_valued(), names=listed(self.classes))
        return message("mean over {n} classes ({names})", n=len(self.classes), names=listed(self.classes))

    def _lacks_classes(self) -> bool:
        return self.classes_valued is not None and 1 < len(self.classes) != self.classes_valued

    def _over_valued(self) -> str:
        return message(
            "mean over the {n} of {total} classes with a value", n=self.classes_valued, total=len(self.classes)
        )

    def _conditions(self) -> tuple[str, ...]:
        size = message("size it was scored at not stated")
        return (
            self.decision,
            message("scored at {size}", size=self.resolution) if self.resolution else size,
            message("pixels labelled {label} in the target are left out", label=self.ignore_index),
            message("n = {n} images", n=self.n),
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all scores of one table share; attributes as in `Definition` and `segbench.metrics.scores.Scores`."""

    classes: tuple[str, ...] = ()
    decision: str
    threshold: float | None
    resolution: str
    ignore_index: int
    n: int

    @classmethod
    def of(
        cls,
        class_map: ClassMap,
        scored: Iterable[int],
        *,
        threshold: float | None,
        resolution: str,
        ignore_index: int,
        n: int,
    ) -> Setting:
        """Returns what scores of the `scored` classes share, decided at a threshold, where the task has one."""
        return cls(
            classes=tuple(class_map.names[index] for index in scored),
            decision=state_decision(class_map.task, threshold),
            threshold=threshold if class_map.task is not Task.MULTICLASS else None,
            resolution=resolution,
            ignore_index=ignore_index,
            n=n,
        )


def define(
    score: Score,
    setting: Setting,
    *,
    over: str = "",
    absent: str | None = None,
    values: Mapping[str, str],
    n_valued: int | None = None,
    classes_valued: int | None = None,
) -> Definition:
    """Returns what a score means where it was measured.

    Args:
        score: from the table.
        setting: what it shares with the others.
        over: what it goes over, of a score that knows no classes.
        absent: rule for classes without pixels, where it is not the measure's own.
        values: what the placeholders of the measure's templates stand for.
        n_valued, classes_valued: see `Definition`.
    """
    measure = score.measure
    shared = {**vars(setting), "classes": setting.classes if measure.by_class else ()}
    return Definition(
        **shared,
        name=score.name,
        formula=Message(measure.formula, values),
        level=score.level,
        summary=join(", ", filter(None, (over, SUMMARY_TEXT[score.summary]))),
        classes_valued=classes_valued,
        absent=Message(measure.absent, values) if absent is None else absent,
        unit=measure.unit,
        better=measure.better,
        lowest=measure.lowest,
        highest=measure.highest,
        n_valued=n_valued,
    )


def size_text(size: Size) -> Message:
    """Returns the size (H, W) that a run is trained and, unless something else is said, scored at, in words.

    Example:
        >>> size_text((128, 96))
        '128x96 pixels (H x W), the training size'
    """
    if size == ORIGINAL:
        return OWN_SIZE
    height, width = size
    return message("{size} pixels (H x W), the training size", size=f"{height}x{width}")


def state_decision(task: Task, threshold: float | None) -> Message:
    """Returns how a pixel got its predicted label; None: the threshold is not known."""
    if task is Task.MULTICLASS:
        return message("every pixel takes its most probable class")
    if threshold is None:
        return message("threshold not stated")
    if task is Task.BINARY:
        return message("foreground where the probability is above {threshold}", threshold=f"{threshold:g}")
    return message("a class is present where the probability is above {threshold}", threshold=f"{threshold:g}")


def footnote(definitions: Iterable[Definition]) -> str:
    """Returns level, classes, decision, size, ignored label and n of a table's scores, to print once under it.

    Where they differ, what most scores have is said, and in brackets which scores have something else.

    Example:
        >>> from segbench.metrics import score_masks
        >>> scores = score_masks([[[0, 1]]], [[[0, 1]]], ["skin", "lesion"], threshold=0.5, resolution="128x128 pixels")
        >>> names = ("iou_per_image", "dice_per_image", "pixel_accuracy_per_image")
        >>> footnote([scores.definition_of[name] for name in names])  # doctest: +NORMALIZE_WHITESPACE
        'per image; class lesion (pixel_accuracy_per_image: every counted pixel); foreground where the probability is
        above 0.5; scored at 128x128 pixels; pixels labelled 255 in the target are left out; n = 1 images'
    """
    every = tuple(definitions)
    if not every:
        return ""
    conditions = zip(*(definition._conditions() for definition in every), strict=True)
    names = [definition.name for definition in every]
    common = [_most(list(zip(names, texts, strict=True))) for texts in conditions]
    return "; ".join([_levels(every), _classes(every), *common])


def _levels(definitions: Sequence[Definition]) -> str:
    if len({definition.level for definition in definitions}) == 1:
        return definitions[0].level
    unnamed = [(d.name, d.level) for d in definitions if d.level.replace(" ", "_") not in d.name]
    return f"pooled or per image as the name says{_exceptions(unnamed)}"


def _classes(definitions: Sequence[Definition]) -> str:
    """Returns over which classes; exceptions do not name again the classes that most scores have."""
    texts = [definition._over() or "every counted pixel" for definition in definitions]
    most, _ = Counter(texts).most_common(1)[0]
    common = definitions[texts.index(most)].classes
    others = [
        (each.name, each._over_valued() if each.classes == common and each._lacks_classes() else text)
        for each, text in zip(definitions, texts, strict=True)
        if text != most
    ]
    return most + _exceptions(others)


def _most(texts: Sequence[tuple[str, str]]) -> str:
    """Returns the text that most names have, and the others in brackets."""
    most, _ = Counter(text for _, text in texts).most_common(1)[0]
    return most + _exceptions([(name, text) for name, text in texts if text != most])


def _exceptions(exceptions: Sequence[tuple[str, str]]) -> str:
    """Returns ` (name, name: text; name: text)`; nothing without exceptions."""
    names: dict[str, list[str]] = {}
    for name, text in exceptions:
        names.setdefault(text, []).append(name)
    texts = [f"{', '.join(group)}: {text}" for text, group in names.items()]
    return f" ({'; '.join(texts)})" if texts else ""


def sidecar(path: str | Path) -> Path:
    """Returns where the definitions of a table lie: `scores_test.csv` -> `scores_test.definitions.json`."""
    return Path(path).with_suffix(".definitions.json")


def write_definitions(
    path: str | Path,
    definitions: Mapping[str, Definition],
    values: Mapping[str, float],
    columns: str,
    settings: Mapping[str, float] | None = None,
) -> None:
    """Writes the definitions of a table's numbers beside it, with the numbers they end in.

    Args:
        path: of the table; the definitions go to `sidecar(path)`.
        definitions: name -> definition.
        values: name -> the number; NaN becomes null.
        columns: what the table's columns are, in a sentence.
        settings: options that the numbers depend on.
    """
    plain: dict[str, Any] = {"table": Path(path).name, "columns": columns}
    if settings is not None:
        plain["settings"] = dict(settings)
    plain["scores"] = {
        name: {"value": values[name], **definition.to_dict()} for name, definition in definitions.items()
    }
    write_json(sidecar(path), plain)


def read_stated(path: str | Path) -> tuple[float | None, str] | None:
    """Returns threshold and resolution that the definitions beside a table state; None where there are none.

    Args:
        path: of the table.
    """
    try:
        scores = json.loads(sidecar(path).read_text(encoding="utf-8"))["scores"]
        first = next(iter(scores.values()))
        return first["threshold"], first["resolution"] or ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
