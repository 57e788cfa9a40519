"""Which images show a part of another one: cut out, enlarged or not, or two tiles that overlap.

Small patches of one image are looked for everywhere in the other, at seven scales. Where several are found in the same
arrangement, the two are laid over each other and compared in detail. Brightness and contrast do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]

DETAIL_PX = 240  # about so long is the longest side of images that are compared in detail
_COARSE = 3  # times smaller are those in which patches are looked for

_PATCH = 16  # pixels
_STRIDE = 2  # of the places where a patch is looked for
_FREQUENCIES = 5  # of the cosine transform by which patches are compared, along each side
_SCALES = tuple(1.3**power for power in range(-3, 4))
_ASKED = 10  # patches of an image at one scale, at most
_FLAT_STD = 6.0  # grey levels; patches without more contrast look like any other
_LIKE = 0.85  # correlation of a patch that is found again
_TOGETHER = 3  # patches found in the same arrangement
_SLACK_PX = 2  # by which their places may differ
_CANDIDATES = 3  # of each image that are compared in detail, the likeliest

_MARGIN_PX = 6  # by which the detailed comparison moves
_FINE_SCALES = (0.88, 0.91, 0.94, 0.97, 1.0, 1.03, 1.06, 1.09, 1.13)
_LEAST_SIDE = 20  # pixels of the common part, after the margin
# Correlation of the details of a common part. Measured: 0.92 and more after saving as JPEG of quality 75, also where a
# quarter of a picture was enlarged to its size; other pictures 0.80 at most, in 300 images of eight sets.
_SAME = 0.88
_HOPELESS = 0.4  # in steps of 3 pixels


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Two images with a common part.

    Attributes:
        one, other: places in the two lists.
        scale: by which the first is enlarged to fit the other.
        share: of the first one's pixels that the other shows too.
        other_share: of the other one's pixels that the first shows too.
        likeness: correlation of the details of the common part.
    """

    one: int
    other: int
    scale: float
    share: float
    other_share: float
    likeness: float


@dataclass(frozen=True, eq=False)
class _Patches:
    """Patches of one image at one scale: what they look like, (N, features), and where they are, (N, 2) down, right."""

    features: F32
    places: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Where one image may lie in another: at a scale, moved by so many pixels of the detailed images."""

    weight: float
    other: int
    scale: float
    move: NDArray[np.float64]


def find_overlaps(ones: Sequence[F32], others: Sequence[F32]) -> list[Overlap]:
    """Returns pairs with a common part, the most alike first; each of `ones` once, with the other that fits best.

    Time and memory grow with the product of the two numbers: 40 against 150 take about 5 seconds on one core.

    Args:
        ones, others: (H, W) grey values, all shrunk by one factor, so that the longest sides are about `DETAIL_PX`.
    """
    asked = [(place, scale, _asked(grey, scale)) for place, grey in enumerate(ones) for scale in _SCALES]
    asked = [item for item in asked if len(item[2].features) >= _TOGETHER]
    if not asked:
        return []
    features = np.concatenate([patches.features for _, _, patches in asked])
    ends = np.cumsum([len(patches.features) for _, _, patches in asked])
    candidates: list[list[_Candidate]] = [[] for _ in ones]
    for number, grey in enumerate(others):
        held = _patches(_resized(grey, 1 / _COARSE), _STRIDE)
        if not len(held.features):
            continue
        likeness = features @ held.features.T
        best = likeness.argmax(axis=1)
        score = likeness[np.arange(len(best)), best]
        for (place, scale, patches), end in zip(asked, ends.tolist(), strict=True):
            own = slice(end - len(patches.features), end)
            found = score[own] >= _LIKE
            if found.sum() >= _TOGETHER:
                moves = held.places[best[own][found]] - patches.places[found]
                votes, move = _arrangement(moves)
                if votes >= _TOGETHER:
                    weight = votes + float(score[own][found].mean())
                    candidates[place].append(_Candidate(weight, number, scale, move * _COARSE))
    overlaps = (_best(place, ones[place], others, found) for place, found in enumerate(candidates))
    return sorted((found for found in overlaps if found is not None), key=lambda found: -found.likeness)


def _best(place: int, one: F32, others: Sequence[F32], candidates: Sequence[_Candidate]) -> Overlap | None:
    best = None
    for candidate in sorted(candidates, key=lambda found: -found.weight)[:_CANDIDATES]:
        found = _in_detail(one, others[candidate.other], candidate.scale, candidate.move)
        if found is not None and found[0] >= (best.likeness if best is not None else _SAME):
            likeness, scale, share, other_share = found
            best = Overlap(
                one=place,
                other=candidate.other,
                scale=scale,
                share=share,
                other_share=other_share,
                likeness=likeness,
            )
    return best


def _asked(grey: F32, scale: float) -> _Patches:
    """Returns a few patches spread over an image at a scale."""
    found = _patches(_resized(grey, scale / _COARSE), _PATCH // 2)
    chosen = np.linspace(0, len(found.places) - 1, min(_ASKED, len(found.places))).round().astype(int)
    return _Patches(found.features[chosen], found.places[chosen])


def _patches(grey: F32, stride: int) -> _Patches:
    """Returns the patches at a grid of places that have some contrast; features have length 1."""
    if min(grey.shape) < _PATCH:
        return _Patches(np.zeros((0, _FREQUENCIES**2 - 1), dtype=np.float32), np.zeros((0, 2), dtype=np.int64))
    windows = np.lib.stride_tricks.sliding_window_view(grey, (_PATCH, _PATCH))[::stride, ::stride]
    basis = _cosines()
    low = np.einsum("ua,ijab,vb->ijuv", basis, windows, basis, optimize=True)
    flat = low.reshape(*low.shape[:2], -1)[:, :, 1:]  # without the mean
    size = np.linalg.norm(flat, axis=2)
    varied = np.nonzero(size >= _FLAT_STD * _PATCH)
    return _Patches(
        np.asarray(flat[varied] / size[varied][:, None], dtype=np.float32), np.stack(varied, axis=1) * stride
    )


def _cosines() -> F32:
    """Returns the first rows of the orthonormal cosine transform, (frequencies, patch)."""
    place = np.arange(_PATCH) + 0.5
    basis = np.cos(np.pi * place[None, :] * np.arange(_FREQUENCIES)[:, None] / _PATCH) * np.sqrt(2.0 / _PATCH)
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis, dtype=np.float32)


def _arrangement(moves: NDArray[np.int64]) -> tuple[int, NDArray[np.float64]]:
    """Returns how many of the moves (N, 2) agree, and their mean."""
    near = np.abs(moves[:, None] - moves[None]).max(axis=2) <= _SLACK_PX
    place = int(near.sum(axis=1).argmax())
    return int(near[place].sum()), moves[near[place]].mean(axis=0)


def _in_detail(one: F32, other: F32, scale: float, move: NDArray[np.float64]) -> tuple[float, ...] | None:
    """Returns (correlation, scale, share, share of the other) where one fits best; None where too little is common."""
    truth, best = _details(other), None
    for fine in _FINE_SCALES:
        laid = _details(_resized(one, scale * fine))
        # the middle of the image stays where the coarse look has put it
        start = np.round(move + np.array(one.shape) * scale * (1 - fine) / 2).astype(int)
        first, last = np.maximum(start, 0), np.minimum(start + laid.shape, other.shape)
        if (last - first).min() < _LEAST_SIDE + 2 * _MARGIN_PX:
            continue
        common = truth[first[0] + _MARGIN_PX : last[0] - _MARGIN_PX, first[1] + _MARGIN_PX : last[1] - _MARGIN_PX]
        likeness = _moved_likeness(common, laid, first + _MARGIN_PX - start)
        if best is None or likeness > best[0]:
            shares = (float(np.prod(last - first) / np.prod(size)) for size in (laid.shape, other.shape))
            best = (likeness, scale * fine, *shares)
    return best


def _moved_likeness(common: F32, laid: F32, corner: NDArray[np.int64]) -> float:
    """Returns the best correlation of a part with another image around a corner in it, in steps of 3, then of 1."""
    found: dict[tuple[int, int], float] = {}
    centre = (0, 0)
    for step, reach in ((3, _MARGIN_PX), (1, 2)):
        for down, right in product(range(-reach, reach + 1, step), repeat=2):
            move = (centre[0] + down, centre[1] + right)
            top, left = corner + move
            if move not in found and max(abs(move[0]), abs(move[1])) <= _MARGIN_PX:
                part = laid[top : top + common.shape[0], left : left + common.shape[1]]
                found[move] = _correlation(common, part)
        centre = max(found, key=lambda move: found[move])
        if found[centre] < _HOPELESS:
            break
    return found[centre]


def _details(grey: F32) -> F32:
    from scipy import ndimage  # type: ignore[import-untyped]

    return np.asarray(ndimage.gaussian_filter(grey, 1.0) - ndimage.gaussian_filter(grey, 5.0), dtype=np.float32)


def _correlation(one: F32, other: F32) -> float:
    if one.shape != other.shape:
        return 0.0  # rounding has left a row or column outside
    a, b = one.ravel(), other.ravel()  # details have a mean of about 0
    return float(a @ b / max(1e-6, float(np.sqrt((a @ a) * (b @ b)))))


def _resized(grey: F32, scale: float) -> F32:
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
