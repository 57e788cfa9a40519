"""Which images are the same picture: by their bytes, or nearly, by a small version that flips and turns leave alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import THUMB_SIDE, ImageFact

# Root mean square difference of two 16 x 16 grey versions, each brought to mean 0 and deviation 1. Measured: the same
# picture saved as JPEG of quality 30 differs by up to 0.03, at half the size by 0.055; different pictures of one kind
# (skin lesions of PH2) by 0.2 and more, neighbouring frames of video by 0.01 to 0.1.
NEAR_RMS = 0.06

_FREQUENCIES = 7  # of the cosine transform that are compared first, along each side
_NEIGHBOURS = 9  # of each image that are looked at, so that long runs of equal frames stay affordable
_RADIUS = NEAR_RMS * THUMB_SIDE  # of the features, whose distance is never larger than that of the pictures
_CROWD = 64  # pictures in one cell of a coarse grid, from which on a look is taken whether all are nearly equal
_CELL, _CELL_DIMENSIONS = 2.0, 8
_FLAT_STD = 4.0  # grey levels; a picture without more contrast looks like any other
_BLOCK = 1024  # pictures that are compared at once, which bounds the memory


def same_files(images: Mapping[Path, ImageFact]) -> list[list[Path]]:
    """Returns the groups of files with equal bytes."""
    first: dict[bytes, Path] = {}
    groups: dict[bytes, list[Path]] = {}
    for path, fact in images.items():
        digest = bytes.fromhex(fact.sha256)
        if first.setdefault(digest, path) != path:
            groups.setdefault(digest, [first[digest]]).append(path)
    return [sorted(group) for group in groups.values()]


def near_pairs(images: Mapping[Path, ImageFact]) -> list[tuple[Path, Path, float]]:
    """Returns pairs of files that show nearly the same picture, mirrored or turned by 90 degrees too, most alike first.

    Time and memory grow with the number of images (a k-d tree), not with the number of pairs. Copies, byte for byte,
    are represented by one of them.
    """
    from scipy.spatial import cKDTree  # type: ignore[import-untyped]

    paths, thumbs = _contrasting(images)
    if len(paths) < 2:
        return []
    features = np.concatenate([_features(_normalised(part)) for part in _blocks(thumbs)])
    alone, chained = _crowds(features)
    tree = cKDTree(features[alone])
    answers = [
        tree.query(part, k=min(_NEIGHBOURS, len(alone)), distance_upper_bound=_RADIUS, workers=-1)
        for part in (features[some] for some in _blocks(alone))
    ]
    near, places = (np.concatenate([answer[place] for answer in answers]) for place in (0, 1))
    near, places = near.reshape(len(alone), -1), places.reshape(len(alone), -1)
    rows, columns = np.nonzero(np.isfinite(near))
    found = np.stack([alone[rows], alone[places[rows, columns]]], axis=1)
    pairs = np.concatenate([found[found[:, 0] != found[:, 1]], chained])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    distances = np.concatenate([_distances(thumbs, part) for part in _blocks(pairs)])
    order = [place for place in np.argsort(distances, kind="stable") if distances[place] <= NEAR_RMS]
    return [(paths[pairs[place, 0]], paths[pairs[place, 1]], float(distances[place])) for place in order]


def shows_one_of(thumb: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns (N,) which of the others (N, 16, 16) are nearly the same picture as (16, 16), mirrored or turned too.

    A picture without contrast is like none.
    """
    alike = np.zeros(len(others), dtype=bool)
    contrasting = np.flatnonzero(others.std(axis=(1, 2)) >= _FLAT_STD)
    if len(contrasting) and thumb.std() >= _FLAT_STD:
        pairs = np.stack([np.zeros_like(contrasting), 1 + np.arange(len(contrasting))], axis=1)
        alike[contrasting] = _distances(np.concatenate([thumb[None], others[contrasting]]), pairs) <= NEAR_RMS
    return alike


def _contrasting(images: Mapping[Path, ImageFact]) -> tuple[list[Path], NDArray[np.uint8]]:
    """Returns the files whose small versions show something, one of each content, and those (N, 16, 16)."""
    thumbs = np.zeros((len(images), THUMB_SIDE, THUMB_SIDE), dtype=np.uint8)
    seen: set[bytes] = set()
    paths: list[Path] = []
    for path, fact in images.items():
        digest = bytes.fromhex(fact.sha256)[:16]  # half of it is as sure, and a third of the memory
        if not fact.thumb or digest in seen:
            continue
        seen.add(digest)
        thumb = np.frombuffer(bytes.fromhex(fact.thumb), dtype=np.uint8)
        if thumb.std() >= _FLAT_STD:
            thumbs[len(paths)] = thumb.reshape(THUMB_SIDE, THUMB_SIDE)
            paths.append(path)
    return paths, thumbs[: len(paths)]


def _crowds(features: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns which pictures to look up one by one, and pairs of the others.

    Where very many pictures are nearly equal (one scene filmed for hours), every one is near every other, and looking
    all of them up takes forever. Of such a crowd each picture is compared with the one before and with the first only.
    """
    strongest = np.argsort(-features.var(axis=0), kind="stable")[:_CELL_DIMENSIONS]
    cells = np.floor(features[:, strongest] / _CELL).astype(np.int16)
    _, inverse, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(counts)
    single = np.ones(len(features), dtype=bool)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for cell in np.flatnonzero(counts > _CROWD):
        rows = order[ends[cell] - counts[cell] : ends[cell]]
        some = features[rows[:: len(rows) // _CROWD]]
        if np.median(np.linalg.norm(some[:, None] - some[None], axis=2)) > _RADIUS / 2:
            continue
        single[rows[1:]] = False
        pairs += [
            np.stack([rows[:-1], rows[1:]], axis=1),
            np.stack([np.full(len(rows) - 1, rows[0]), rows[1:]], axis=1),
        ]
    return np.flatnonzero(single), np.concatenate(pairs)


def _blocks(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Returns views of so many rows that what is computed from them stays small; one at least."""
    return [rows[start : start + _BLOCK] for start in range(0, max(1, len(rows)), _BLOCK)]


def _normalised(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    centred = thumbs - thumbs.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    result: NDArray[np.float32] = centred / centred.std(axis=(1, 2), keepdims=True)
    return result


def _features(thumbs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns low cosine coefficients in a form that mirror images and quarter turns share.

    Mirroring changes signs, so their size is taken; transposing swaps (u, v) and (v, u), so those two are sorted.
    Neither makes two pictures farther apart than they are.
    """
    place = np.arange(THUMB_SIDE)
    basis = np.cos(np.pi * (place[None, :] + 0.5) * np.arange(_FREQUENCIES)[:, None] / THUMB_SIDE)
    basis *= np.sqrt(2.0 / THUMB_SIDE)
    basis[0] /= np.sqrt(2.0)
    size = np.abs(np.einsum("ux,nxy,vy->nuv", basis, thumbs, basis, optimize=True))
    upper = np.triu_indices(_FREQUENCIES, 1)
    swapped = size.transpose(0, 2, 1)
    high, low = np.maximum(size, swapped)[:, upper[0], upper[1]], np.minimum(size, swapped)[:, upper[0], upper[1]]
    diagonal = size[:, np.arange(1, _FREQUENCIES), np.arange(1, _FREQUENCIES)]
    return np.concatenate([high, low, diagonal], axis=1).astype(np.float32)


def _distances(thumbs: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns the smallest distance of each pair over the eight ways to mirror and turn one of them."""
    if not len(pairs):
        return np.zeros(0, dtype=np.float32)
    one, other = (_normalised(thumbs[pairs[:, place]]) for place in (0, 1))
    best = np.full(len(pairs), np.inf, dtype=np.float32)
    for turned in (other, other.transpose(0, 2, 1)):
        for flipped in (turned, turned[:, ::-1], turned[:, :, ::-1], turned[:, ::-1, ::-1]):
            best = np.minimum(best, np.sqrt(((one - flipped) ** 2).mean(axis=(1, 2))))
    return best
