"""Whether masks lie on what the images show: edges of the image under the outlines of the labels, here and elsewhere.

Each pixel of an image is given the rank of its gradient, from -0.5 (flat) to 0.5 (the sharpest edge). Its mean under
the outlines of the labels is taken at every shift and for the mask mirrored and turned. What counts is how far a
placement stands out of those around it: many edges in one half of the images raise a whole region of placements, but
only the right one raises a point. Measured on 12 sets, up to 60 images of each: where the masks lie, the placement
stands out by 0.07 to 0.32, with t of 10 and more in all but one set; a wrong one further off by at most 0.03 (0.08 in a
set of 8 images).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]

RADIUS = 24  # of the shifts that are tried, in pixels of the shrunk image
LEAST_IMAGES = 8  # for a verdict

_USUAL_SIDE = 500  # pixels, about which images are looked at
_RING = (8, 12)  # distance of the placements that one is compared with, along rows or columns
_REACH = RADIUS + _RING[1]
_LEAST_OUTLINE = 20  # pixels
_SIGMA = 1.0
_LEVELS = 4096

TURNS = ("", "left_right", "top_bottom", "half_turn", "quarter_left", "quarter_right", "diagonal", "other_diagonal")
_UPRIGHT = 4  # so many of them keep height and width

_SURE_P = 1e-5  # of a t-test over the images; some 20,000 placements are tried, most of them alike
_SURE_SHARE = 0.75  # of the images have to agree
_STANDS_OUT = 0.03  # of a placement among those around it
_LEAST_SHIFT = 2.5  # shrunk pixels; outlines drawn by hand are often 1 off
_CAREFUL = 3.0  # standard errors below its mean, at which placements are ranked
_CLEAR_T = 4.0  # with which the given placement has to stand out, to be called right


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the edges say about the masks of several images.

    Attributes:
        images: number of them.
        here: how far the given placement stands out, and its t.
        there: how far the best one does.
        turn: one of `TURNS` that the masks would have to undergo; empty for none.
        down, right: by which they would then have to be moved, in pixels of the images.
        agreeing: images that fit better so.
        moved: the best placement is surely another one than the given.
        unclear: none stands out.
        gains: (images,) by how much each fits better.
    """

    images: int
    here: float
    here_t: float
    there: float
    turn: str
    down: int
    right: int
    agreeing: int
    moved: bool
    unclear: bool
    gains: tuple[float, ...]


def shrink_factor(sides: Sequence[int]) -> int:
    """Returns by which whole number all images of a set are shrunk, from their longest sides."""
    return max(1, round(float(np.median(sides)) / _USUAL_SIDE))


def edge_scores(image: NDArray[np.uint8], labels: NDArray[np.uint8], *, undecided: Sequence[int] = ()) -> F32 | None:
    """Returns how well the outlines lie on edges in each placement; None where there are hardly any outlines.

    Args:
        image: (H, W) or (H, W, 3), shrunk by `shrink_factor`.
        labels: (H, W) class indices.
        undecided: labels between objects that are no objects (ignored pixels, drawn borders): each such pixel is given
            to the nearest object, so that the outline runs through the middle of a border.
    Returns:
        (turns, shifts down, shifts right): mean rank of the gradient; 4 turns, or 8 where height and width are equal.
    """
    from scipy import fft  # type: ignore[import-untyped]

    outline = _outline(_decided(labels, undecided))
    total = float(outline.sum())
    if total < _LEAST_OUTLINE:
        return None
    ranks = _gradient_ranks(image)
    shape = [fft.next_fast_len(side + _REACH + 1, real=True) for side in labels.shape]
    edges = fft.rfft2(ranks, shape)
    turns = len(TURNS) if labels.shape[0] == labels.shape[1] else _UPRIGHT
    scores = np.empty((turns, 2 * _REACH + 1, 2 * _REACH + 1), dtype=np.float32)
    near = np.arange(-_REACH, _REACH + 1)
    for place, turn in enumerate(TURNS[:turns]):
        sums = fft.irfft2(edges * np.conj(fft.rfft2(turned(outline, turn), shape)), shape)
        scores[place] = sums[np.ix_(near, near)] / total
    return scores


def turned(plane: NDArray[np.generic], turn: str) -> NDArray[np.generic]:
    """Returns an (H, W) array mirrored or turned by one of `TURNS`."""
    if turn in ("quarter_left", "quarter_right"):
        return np.rot90(plane, 1 if turn == "quarter_left" else 3)
    if turn in ("diagonal", "other_diagonal"):
        plane = plane.T if turn == "diagonal" else plane.T[::-1, ::-1]
    if turn in ("left_right", "half_turn"):
        plane = plane[:, ::-1]
    return plane[::-1] if turn in ("top_bottom", "half_turn") else plane


def judge(found: Sequence[F32], factor: int = 1) -> Verdict | None:
    """Returns what the edges of several images say together; None for fewer than `LEAST_IMAGES`.

    Args:
        found: of `standing_out`.
        factor: with which they were made.
    """
    if len(found) < LEAST_IMAGES:
        return None
    turns = min(len(one) for one in found)  # those that all images allow
    table = np.stack([one[:turns] for one in found])
    mean, error = _mean_and_error(table)
    here = table[:, 0, RADIUS, RADIUS]
    turn, down, right = np.unravel_index(int(np.argmax(mean - _CAREFUL * error)), mean.shape)
    gains = table[:, turn, down, right] - here
    gain, gain_error = _mean_and_error(gains)
    agreeing = int((gains > 0).sum())
    far = bool(turn) or math.hypot(down - RADIUS, right - RADIUS) >= _LEAST_SHIFT
    moved = (
        far
        and float(mean[turn, down, right]) >= _STANDS_OUT
        and float(gain) > 0
        and _p_value(float(gain / gain_error), len(gains)) < _SURE_P
        and agreeing >= _SURE_SHARE * len(gains)
    )
    here_t = float(mean[0, RADIUS, RADIUS] / error[0, RADIUS, RADIUS])
    return Verdict(
        images=len(found),
        here=float(mean[0, RADIUS, RADIUS]),
        here_t=here_t,
        there=float(mean[turn, down, right]),
        turn=TURNS[turn],
        down=int(down - RADIUS) * factor,
        right=int(right - RADIUS) * factor,
        agreeing=agreeing,
        moved=moved,
        unclear=not moved and not (here_t >= _CLEAR_T and mean[0, RADIUS, RADIUS] >= _STANDS_OUT),
        gains=tuple(gains.tolist()),
    )


def standing_out(scores: F32) -> F32:
    """Returns by how much each placement is better than the mean of a square ring around it.

    Args:
        scores: of `edge_scores`.
    Returns:
        (turns, 2 * RADIUS + 1, 2 * RADIUS + 1).
    """
    from scipy import ndimage

    outer, hole = 2 * _RING[1] + 1, 2 * _RING[0] - 1
    boxes = [
        ndimage.uniform_filter(scores, (0, side, side), mode="nearest", output=np.float64) * side**2
        for side in (outer, hole)
    ]
    around = (boxes[0] - boxes[1]) / (outer**2 - hole**2)
    inner = slice(_RING[1], -_RING[1])
    return np.asarray((scores - around)[:, inner, inner], dtype=np.float32)


def _mean_and_error(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns mean and standard error over the first axis."""
    error = values.std(axis=0, ddof=1, dtype=np.float64) / math.sqrt(len(values))
    return values.mean(axis=0, dtype=np.float64), np.maximum(error, 1e-9)


def _p_value(t: float, images: int) -> float:
    from scipy.special import stdtr  # type: ignore[import-untyped]

    return float(2 * stdtr(images - 1, -abs(t)))


def _decided(labels: NDArray[np.uint8], undecided: Sequence[int]) -> NDArray[np.uint8]:
    from scipy import ndimage

    open_ = np.isin(labels, list(undecided))
    if not open_.any() or open_.all():
        return labels
    nearest = ndimage.distance_transform_edt(open_, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(nearest)])


def _outline(labels: NDArray[np.uint8]) -> F32:
    """Returns 1 on both sides of every change of label."""
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    found = np.zeros(labels.shape, dtype=bool)
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found.astype(np.float32)


def _gradient_ranks(image: NDArray[np.uint8]) -> F32:
    from scipy import ndimage

    grey = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float32)
    down, right = np.gradient(ndimage.gaussian_filter(grey, _SIGMA))
    strength = np.sqrt(np.hypot(down, right) / 181)  # 0 to 1, with room for small differences
    steps = (strength * (_LEVELS - 1)).astype(np.int32)
    counts = np.bincount(steps.ravel(), minlength=_LEVELS)
    rank = (np.cumsum(counts) - counts / 2) / steps.size - 0.5
    ranks: F32 = rank.astype(np.float32)[steps]
    return ranks
