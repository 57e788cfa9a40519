"""The conventions of segbench, stated once.

Axes are named B (batch), C (classes or channels), H, W. Images are uint8 (H, W, C) outside the network and float
(B, C, H, W) inside it. A network returns raw `logits`, never probabilities and never a thresholded mask:

============  =================  ==========================================================  =======================
task          logits             target                                                      prediction
============  =================  ==========================================================  =======================
binary        (B, 1, H, W)       (B, H, W) int64 in {0, 1} or `ignore_index`                 sigmoid > threshold
multiclass    (B, C, H, W)       (B, H, W) int64 in [0, C) or `ignore_index`                 argmax over C
multilabel    (B, C, H, W)       (B, C, H, W) in {0, 1} or `ignore_index`, a plane a class   sigmoid > threshold
============  =================  ==========================================================  =======================

The threshold is one of the *probability* (default 0.5). `ignore_index` is 255 everywhere; ignored pixels count in no
loss and in no score. A binary task has two classes (index 0 is the background, index 1 the foreground) and one logit.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

IGNORE_INDEX = 255
DEFAULT_THRESHOLD = 0.5

SplitName: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

# Test-time augmentation: which looks at an image are averaged, see `segbench.predict.averaging`.
Tta: TypeAlias = Literal["none", "hflip", "flips", "rotations", "flips_and_rotations", "scales"]
ORIGINAL: Literal["original"] = "original"
Size: TypeAlias = tuple[int, int] | Literal["original"]  # (H, W) in pixels, or every image at its own
# How an image of any size goes through a network: at its own scale at once, squeezed to the size that it was trained
# at, or at its own scale in tiles.
SizePolicy: TypeAlias = Literal["whole", "resize", "tiles"]
Simplify: TypeAlias = float | Literal["auto"]  # of polygons, see `segbench.data.writers`
AUTO_RUNTIME = "auto"  # the quickest one, see `segbench.predict.runtimes`

RGB: TypeAlias = tuple[int, int, int]
MaskValue: TypeAlias = int | RGB  # what a mask file holds for a class: a grey or palette index, or a colour


class Task(StrEnum):
    """What a pixel's label is: one of two classes, one of C classes, or any subset of C classes."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"


# Distinguishable on photographs, also by most colour-blind readers (Okabe and Ito 2008, then Tol's "muted").
_DISPLAY_COLORS: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (136, 34, 85),
    (51, 34, 136),
    (170, 68, 153),
    (153, 153, 51),
    (17, 119, 51),
)


def default_colors(num_classes: int, background: int | None) -> tuple[RGB, ...]:
    """Returns one display colour a class: black for the background, then a fixed list, then a deterministic spread."""
    colors: list[RGB] = []
    position = 0
    for index in range(num_classes):
        if index == background:
            colors.append((0, 0, 0))
            continue
        if position < len(_DISPLAY_COLORS):
            colors.append(_DISPLAY_COLORS[position])
        else:
            step = position * 2654435761 % 2**24  # Knuth's multiplicative hash: far-apart colours, no randomness
            colors.append((64 + (step & 0xFF) * 3 // 4, 64 + (step >> 8 & 0xFF) * 3 // 4, 64 + (step >> 16) * 3 // 4))
        position += 1
    return tuple(colors)


@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """Which classes there are and how mask files write them.

    Attributes:
        names: C class names; the position is the class index. Binary: (background, foreground).
        values: for each class the value or values that mean it in a mask *file* (grey or palette indices, or RGB
            colours); several values merge into one class. Multilabel: the values that mean "present" in that
            class's own mask file.
        task: see `Task`.
        colors: C display colours (R, G, B), 0-255; chosen for you when left empty.
        background: index of the background class, None when there is none.
        ignore_values: file values that become `ignore_index`.
        ignore_index: the label of pixels that count nowhere.

    Example:
        >>> import segbench
        >>> spots = segbench.ClassMap(names=("skin", "lesion"), values=((0,), (255,)), task="binary")
        >>> spots.num_classes, spots.out_channels
        (2, 1)
    """

    names: tuple[str, ...]
    values: tuple[tuple[MaskValue, ...], ...]
    task: Task = Task.MULTICLASS
    colors: tuple[RGB, ...] = ()
    background: int | None = 0
    ignore_values: tuple[MaskValue, ...] = ()
    ignore_index: int = IGNORE_INDEX

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", Task(self.task))  # the plain word, too, means its task
        if len(self.names) != len(self.values):
            raise ValueError(
                f"a class map needs one entry in `values` per name, got {len(self.values)} for {len(self.names)}"
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"class names must differ, got {', '.join(self.names)}")
        if self.task is Task.BINARY and len(self.names) != 2:
            raise ValueError(
                f"a binary task has 2 classes (background, foreground), got {len(self.names)}: {self.names}"
            )
        if self.task is Task.BINARY and self.background != 0:
            raise ValueError("in a binary task class 0 is the background and class 1 the foreground")
        if not 1 <= len(self.names) <= self.ignore_index:
            raise ValueError(f"expected 1 to {self.ignore_index} classes, got {len(self.names)}")
        if self.background is not None and not 0 <= self.background < len(self.names):
            raise ValueError(f"background is class {self.background}, but there are only {len(self.names)} classes")
        if self.colors and len(self.colors) != len(self.names):
            raise ValueError(f"expected {len(self.names)} display colours, got {len(self.colors)}")
        if not self.colors:
            object.__setattr__(self, "colors", default_colors(len(self.names), self.background))

    @property
    def num_classes(self) -> int:
        """C, counting the background of a binary task."""
        return len(self.names)

    @property
    def out_channels(self) -> int:
        """Logit channels a network needs for this task: 1 for binary, else C."""
        return 1 if self.task is Task.BINARY else self.num_classes

    @property
    def scored_classes(self) -> tuple[int, ...]:
        """Class indices that mean scores average over: the foreground of a binary task, else every class."""
        return (1,) if self.task is Task.BINARY else tuple(range(self.num_classes))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON or YAML; `from_dict` reads them back."""
        return {
            "task": str(self.task),
            "classes": [
                {"name": name, "values": [_plain(value) for value in values], "color": list(color)}
                for name, values, color in zip(self.names, self.values, self.colors, strict=True)
            ],
            "background": self.background,
            "ignore_values": [_plain(value) for value in self.ignore_values],
            "ignore_index": self.ignore_index,
        }

    def _repr_html_(self) -> str:
        return ", ".join(
            f'<span style="color:rgb({red},{green},{blue})">&#9632;</span>&nbsp;{html.escape(name)}'
            for name, (red, green, blue) in zip(self.names, self.colors, strict=True)
        )

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ClassMap:
        """Returns the class map that `to_dict` wrote."""
        classes = plain["classes"]
        return cls(
            names=tuple(entry["name"] for entry in classes),
            values=tuple(tuple(_mask_value(value) for value in entry["values"]) for entry in classes),
            task=Task(plain["task"]),
            colors=tuple(_rgb(entry["color"]) for entry in classes),
            background=plain["background"],
            ignore_values=tuple(_mask_value(value) for value in plain["ignore_values"]),
            ignore_index=plain["ignore_index"],
        )


def _plain(value: MaskValue) -> int | list[int]:
    return value if isinstance(value, int) else list(value)


def _rgb(value: Sequence[int]) -> RGB:
    red, green, blue = value
    return (int(red), int(green), int(blue))


def _mask_value(value: int | Sequence[int]) -> MaskValue:
    return value if isinstance(value, int) else _rgb(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One labelled image.

    Attributes:
        id: unique within a data set, stable when files are added; what pairing and per-image results use.
        image: path, relative to the manifest's `root`, with forward slashes.
        mask: path of the index or colour mask; multilabel: one path a class, in class order; where the labels are
            drawn from shapes, the annotation file.
        mask_key: where in the annotation file the shapes of this image are; empty where masks are image files.
        window: (top, left, height, width) of the part of both files that is meant, in pixels; None means all.
        height, width: in pixels, after EXIF orientation; of the window where there is one.
        image_hash, mask_hash: SHA-256 of the files' bytes (of the joined hashes where there are several masks; of the
            shapes and how they are drawn where masks are drawn; of hash and window where there is one).
        group: samples of one group (patient, scene, video) never land in different splits.
        split: train, val or test; None as long as nobody decided.
        foreground_frac: share of the counted pixels that are not background, 0-1; None where there is no background.
    """

    id: str
    image: str
    mask: str | tuple[str, ...]
    height: int
    width: int
    image_hash: str
    mask_hash: str
    group: str | None = None
    split: SplitName | None = None
    foreground_frac: float | None = None
    mask_key: str = ""
    window: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """How a network wants its input: `(image / 255 - mean) / std` per channel. Belongs to the network, not to the data.

    Attributes:
        mean, std: one value a channel, for images scaled to 0-1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels and std {len(self.std)}; they must agree")
        if any(value <= 0 for value in self.std):
            raise ValueError(f"std must be positive, got {self.std}")

    def to_json(self) -> str:
        """Returns one line of JSON; `from_json` reads it back."""
        return json.dumps({"mean": self.mean, "std": self.std})

    @classmethod
    def from_json(cls, text: str) -> Normalization:
        """Returns what `to_json` wrote."""
        plain = json.loads(text)
        return cls(mean=tuple(plain["mean"]), std=tuple(plain["std"]))

    @classmethod
    def identity(cls, channels: int) -> Normalization:
        """Returns the normalisation that leaves 0-1 images as they are."""
        return cls(mean=(0.0,) * channels, std=(1.0,) * channels)

    @classmethod
    def centered(cls, channels: int) -> Normalization:
        """Returns the normalisation that spreads 0-1 images over -2 to 2, about as photographs vary."""
        return cls(mean=(0.5,) * channels, std=(0.25,) * channels)


@dataclass(frozen=True, kw_only=True)
class WeightsOrigin:
    """Which weights a network started from, as result files say it.

    Attributes:
        source: `random`, `imagenet`, `coco_voc` or the path of a file, as the config names it.
        part: what was loaded: `nothing`, `encoder` or `network`.
        provider: library and its name for the weights, or `file`.
        file: name of the file they came from; empty where the provider does not tell.
        sha256: of that file; empty where it is not known.
        tensors: how many tensors were loaded.
        left_random: names of tensors that kept their random start although the rest was loaded (another head, say).
        left_out: tensors of the file that were not used (a classifier, a decoder that does not fit).
        license: of the weights as the provider states it, where that is known; for what was trained on images whose
            own terms may say more.
        trained_on: data set that they were trained on, where that is known.
    """

    source: str
    part: Literal["nothing", "encoder", "network"]
    provider: str = ""
    file: str = ""
    sha256: str = ""
    tensors: int = 0
    left_random: tuple[str, ...] = ()
    left_out: int = 0
    license: str = ""
    trained_on: str = ""

    @property
    def sentence(self) -> str:
        """Returns the origin in one sentence, for people."""
        if self.part == "nothing":
            return "starts from random weights"
        whole = self.part == "network"
        terms = f", licence {self.license}" if self.license else ""
        terms += f", trained on {self.trained_on}" if self.trained_on else ""
        what = f"({self.tensors} tensors of {self.provider} {self.file}{terms})"
        told = f"the whole network {what}" if whole else f"its encoder {what}, the rest is random"
        parts = [f"starts from {self.source}: {told}"]
        if self.left_random:
            shown = ", ".join(self.left_random[:3]) + (", ..." if len(self.left_random) > 3 else "")
            parts.append(f"{len(self.left_random)} tensors stay random: {shown}")
        if self.left_out:
            parts.append(f"{self.left_out} tensors of the file are not used")
        return "; ".join(parts)

    @classmethod
    def random(cls) -> WeightsOrigin:
        """Returns the origin of a freshly initialised network."""
        return cls(source="random", part="nothing")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**asdict(self), "left_random": list(self.left_random)}


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run left behind; `result.json` of the run folder holds the same.

    Attributes:
        run: path of the run folder.
        scores: split -> score name -> value in [0, 1] or NaN; names are defined in `segbench.metrics`.
        result: everything in `result.json`: definitions, n, parameters, seconds, ...

    Example:
        >>> import segbench
        >>> result = segbench.fit("mine.yaml")  # doctest: +SKIP
        >>> result.scores["test"]["iou_per_image"]  # doctest: +SKIP
    """

    run: str
    scores: Mapping[str, Mapping[str, float]]
    result: Mapping[str, Any] = field(repr=False)

    def _repr_html_(self) -> str:
        main = self.result.get("main")
        lines = [main["sentence"]] if main else []
        if self.result.get("collapsed"):
            lines.append("This run collapsed: it predicts one class only; its score says nothing about the network.")
        lines += [f"Epoch {a['epoch']}: {a['sentence']}. To do: {a['advice']}" for a in self.result.get("alerts", ())]
        told = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        splits = list(self.scores)
        head = "".join(f"<th>{split} (n={self.result['n'][split]})</th>" for split in splits)
        rows = "".join(
            f"<tr><th>{name}</th>"
            + "".join(f"<td>{_score_text(self.scores[split][name])}</td>" for split in splits)
            + "</tr>"
            for name in self.scores[splits[-1]]
        )
        title = f"{html.escape(str(self.result['name']))}, epoch {self.result['best_epoch']}"
        table = f"<table><caption>{title}</caption><tr><th></th>{head}</tr>{rows}</table>"
        return f"{told}<details open><summary>all scores</summary>{table}</details>"


def _score_text(value: float) -> str:
    return "–" if value != value else f"{value:.4f}"


class Progress(Protocol):
    """Called while long work goes on: what is being done, how much is done, how much there is."""

    def __call__(self, what: str, done: int, total: int) -> None: ...  # noqa: D102
