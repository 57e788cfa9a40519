"""Suggested images as files: a table, a sheet of what the model makes of them, copies to be labelled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from segbench.assist.suggest import Suggested, Suggestion
from segbench.data.files.resize import resize_image, resize_mask
from segbench.errors import PredictionError, SegbenchError
from segbench.files import write_csv
from segbench.locale import message
from segbench.plots.contact_sheet import save_sheet
from segbench.plots.doubt import doubt_picture
from segbench.plots.panels import overlay
from segbench.predict.doubt import pixel_doubt
from segbench.predict.pages import open_page
from segbench.predict.predictor import Predictor

TABLE, SHEET = "suggestions.csv", "sheet.png"
ON_SHEET = 24

_COLUMNS = 3
_SIDE_PX = 480  # of a picture, the longer one at most
_OPACITY = 0.25
_WIDTH_INCH, _HEIGHT_INCH = 4.2, 2.1  # of an image's two pictures


def write_table(suggested: Suggested, out: Path) -> Path:
    """Writes `suggestions.csv`, a row an image in order; returns its path."""
    rows = [[rank, each.job.told, f"{each.score:.6g}", each.why] for rank, each in enumerate(suggested.images, start=1)]
    write_csv(out / TABLE, ["rank", "path", "score", "why"], rows)
    return out / TABLE


def write_sheet(predictor: Predictor, suggested: Suggested, out: Path) -> Path:
    """Writes `sheet.png`: the first 24 images, each with the model's outlines and, beside them, its doubt.

    The doubt is the entropy of each pixel's probabilities, as `segbench predict --doubt` draws it.
    """
    shown = suggested.images[:ON_SHEET]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(_WIDTH_INCH * columns, _HEIGHT_INCH * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for rank, (axes, each) in enumerate(zip(panels.flat, shown, strict=False), start=1):
        axes.imshow(_pictures(predictor, each), interpolation="antialiased")
        axes.set_title(f"{rank}. {_short(each.name)}", fontsize=7, pad=2, parse_math=False)
    return save_sheet(figure, out / SHEET)


def _pictures(predictor: Predictor, each: Suggestion) -> np.ndarray:
    """Returns the image with its outlines, and with its doubt, beside each other."""
    try:
        if each.job.page is None:
            prediction = predictor(each.job.path)
        else:
            with open_page(each.job.path, each.job.page) as image:
                prediction = predictor(image)
    except SegbenchError as error:  # it was read before: the file is another now
        raise PredictionError(message("it changed meanwhile; give the command again"), path=each.job.path) from error
    height, width = prediction.image.shape[:2]
    scale = min(1.0, _SIDE_PX / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small, mask = resize_image(prediction.image, size), resize_mask(prediction.mask, size)
    doubt = pixel_doubt(prediction.network_probs, prediction.class_map.task)
    enlarged = np.asarray(Image.fromarray(doubt).resize(size[::-1], Image.Resampling.BILINEAR))
    return np.concatenate(
        [overlay(small, mask, prediction.class_map, _OPACITY), doubt_picture(small, enlarged)], axis=1
    )


def _short(text: str) -> str:
    return text if len(text) <= 44 else f"{text[:16]}...{text[-25:]}"


def copy_images(images: Sequence[Suggestion], target: Path, *, link: bool = False) -> list[Path]:
    """Puts the image files into a folder, under their names below the folder that was searched; returns their paths.

    Args:
        link: hard links, which take no space.
    Raises:
        PredictionError: another file of that name is there, or the disk has no links.
    """
    written: list[Path] = []
    for each in dict.fromkeys((each.job.path, each.job.below) for each in images):
        source, place = each[0], target / each[1]
        if place.exists():
            if place.read_bytes() != source.read_bytes():
                raise PredictionError(message("another file is there already; give another folder"), path=place)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            _put(source, place, link)
        written.append(place)
    return written


def _put(source: Path, place: Path, link: bool) -> None:
    if not link:
        shutil.copy2(source, place)
        return
    try:
        os.link(source.resolve(), place)
    except OSError as error:
        text = message("cannot link to it ({reason}); copy the images instead", reason=error.strerror or str(error))
        raise PredictionError(text, path=source) from error
