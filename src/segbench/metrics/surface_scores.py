"""Surface measurements of images -> scores with their definitions. NumPy and SciPy only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from segbench.errors import RunError
from segbench.locale import message
from segbench.metrics._arrays import FloatArray, nan_mean, summarise
from segbench.metrics.definitions import Definition, Setting, define, footnote, sidecar, write_definitions
from segbench.metrics.families import SURFACE_SCORES
from segbench.metrics.image_values import ImageValues
from segbench.metrics.scores import as_class_map, scored_classes
from segbench.metrics.surface import SURFACE_VALUES, SurfaceSettings
from segbench.types import ClassMap


@dataclass(frozen=True, kw_only=True, eq=False)
class SurfaceScores:
    """Surface scores of N images; attributes as in `segbench.metrics.scores.Scores`.

    Attributes:
        values: what was measured, an image and class each.
        settings: band width and tolerance that it was measured with.
    """

    class_map: ClassMap
    values: ImageValues = field(repr=False)
    settings: SurfaceSettings
    scored: tuple[int, ...]
    threshold: float | None
    resolution: str

    @property
    def ids(self) -> tuple[str, ...]:
        """N image ids."""
        return self.values.ids

    @property
    def per_image(self) -> Mapping[str, FloatArray]:
        """What was measured -> (N, C) float64; NaN where a class is absent from truth and prediction."""
        return self.values.values

    @property
    def n_images(self) -> int:
        """N."""
        return len(self.values)

    @property
    def absent(self) -> dict[str, int]:
        """Scored class -> images in which it is absent from truth and prediction, and so left out."""
        missing = np.isnan(self.per_image["hd95_px"])
        return {self.class_map.names[index]: int(missing[:, index].sum()) for index in self.scored}

    def image_means(self, key: str) -> FloatArray:
        """Returns (N,): the mean of a measurement over the scored classes that have a value; NaN where none has."""
        return nan_mean(self.per_image[key][:, list(self.scored)], axis=1)

    def summary(self) -> dict[str, float]:
        """Returns name -> value, NaN where nothing could be scored."""
        return {
            name: summarise(score.summary, self.image_means(score.measure.key))
            for name, score in SURFACE_SCORES.items()
        }

    @cached_property
    def definition_of(self) -> Mapping[str, Definition]:
        """Name -> what the number means, for every name in `summary()`."""
        setting = Setting.of(
            self.class_map,
            self.scored,
            threshold=self.threshold,
            resolution=self.resolution,
            ignore_index=self.class_map.ignore_index,
            n=self.n_images,
        )
        width, tolerance = f"{self.settings.boundary_width_frac:g}", f"{self.settings.tolerance_px:g}"
        return {
            name: define(
                score,
                setting,
                values={
                    "width": width,
                    "tolerance": tolerance,
                    "worst": message("the image diagonal in px") if score.measure.unit == "px" else "0",
                },
                n_valued=int((~np.isnan(self.image_means(score.measure.key))).sum()),
            )
            for name, score in SURFACE_SCORES.items()
        }

    @property
    def definitions(self) -> dict[str, str]:
        """Name -> one sentence, for every name in `summary()`."""
        return {name: definition.sentence for name, definition in self.definition_of.items()}

    @property
    def footnote(self) -> str:
        """What the scores have in common, and which differ, to print once under a table of them."""
        return footnote(self.definition_of.values())

    def per_class_table(self) -> list[dict[str, Any]]:
        """Returns one row a scored class: class, absent (images), and every mean over the images with a value."""
        rows: list[dict[str, Any]] = []
        for index, (name, absent) in zip(self.scored, self.absent.items(), strict=True):
            values = {score.name: self.per_image[score.measure.key][:, index] for score in SURFACE_SCORES.values()}
            means = {key: summarise(SURFACE_SCORES[key].summary, array) for key, array in values.items()}
            rows.append({"class": name, "absent": absent, **means})
        return rows

    def write_csv(self, path: str | Path) -> None:
        """Writes one row an image, `measurement[class]`, and `<stem>.definitions.json`; `read_surfaces` reads both."""
        self.values.write_csv(path, self.class_map.names)
        write_definitions(
            path,
            self.definition_of,
            self.summary(),
            "one row an image: measurement[class], px where the name says so, else 0 to 1; an empty cell is no value",
            settings={
                **self.settings.to_dict(),
                "include_background": self.class_map.background in self.scored,
            },
        )


def score_surfaces(
    values: ImageValues,
    class_map: ClassMap | Sequence[str] | int,
    *,
    settings: SurfaceSettings | None = None,
    include_background: bool | None = None,
    threshold: float | None = None,
    resolution: str = "",
) -> SurfaceScores:
    """Returns the scores of what a `SurfaceCollector` measured.

    Args:
        values: of N images.
        class_map: or C class names, or their number.
        settings: that the collector measured with; None: the defaults.
        include_background, threshold, resolution: see `segbench.metrics.score_counts`.
    Raises:
        ValueError: other measurements, or another number of classes.
    """
    classes = as_class_map(class_map)
    if tuple(values.values) != SURFACE_VALUES:
        raise ValueError(f"expected the measurements {', '.join(SURFACE_VALUES)}, got {', '.join(values.values)}")
    if values.num_classes != classes.num_classes:
        raise ValueError(f"values of {values.num_classes} classes do not fit a class map of {classes.num_classes}")
    return SurfaceScores(
        class_map=classes,
        values=values,
        settings=settings or SurfaceSettings(),
        scored=scored_classes(classes, include_background),
        threshold=threshold,
        resolution=resolution,
    )


def read_surfaces(path: str | Path, class_map: ClassMap) -> SurfaceScores:
    """Returns what `SurfaceScores.write_csv` wrote: the table and, from the file beside it, how it was measured.

    Raises:
        RunError: one of the two files cannot be read, or belongs to other classes.
    """
    path = Path(path)
    beside = sidecar(path)
    values = ImageValues.read_csv(path, SURFACE_VALUES, class_map.names)
    try:
        plain = json.loads(beside.read_text(encoding="utf-8"))
        settings = SurfaceSettings(**{key: float(plain["settings"][key]) for key in SurfaceSettings().to_dict()})
        first = plain["scores"][next(iter(SURFACE_SCORES))]
        threshold, resolution = first["threshold"], first["resolution"] or ""
        background = bool(plain["settings"]["include_background"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{beside.name}, which says how {path.name} was measured, is missing or damaged ({error}); "
            f"evaluate the run again",
            run=path.parent,
        ) from error
    return score_surfaces(
        values,
        class_map,
        settings=settings,
        include_background=background if class_map.background is not None else None,
        threshold=threshold,
        resolution=resolution,
    )
