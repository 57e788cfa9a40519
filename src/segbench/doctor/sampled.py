"""A few cases of a data set with their pixels, for checks that have to look at image and labels together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.data.files.images import decode_image, read_mask_values
from segbench.data.files.masks import encode_mask, encode_plane, has_colors
from segbench.data.files.threads import in_order, usual_workers
from segbench.data.shapes.drawing import paint
from segbench.doctor.reading import Case, Reading
from segbench.errors import DatasetError
from segbench.types import Task

Found = TypeVar("Found")


def readable(reading: Reading) -> list[Case]:
    """Returns the cases whose image and labels were read before, and fit each other in size."""
    if reading.class_map is None:
        return []
    found = []
    for place in np.flatnonzero(reading.decoded):
        case = reading.cases[place]
        image = reading.images.get(case.image)
        sizes = {(fact.height, fact.width) for _, fact in reading.facts(case)}
        if image is not None and sizes == {(image.height, image.width)}:
            found.append(case)
    return found


def sample(cases: Sequence[Case], count: int, seed: int = 0) -> list[Case]:
    """Returns at most `count` of the cases, always the same ones, in their order."""
    if len(cases) <= count:
        return list(cases)
    chosen = np.random.default_rng(seed).permutation(len(cases))[:count]
    return [cases[place] for place in sorted(chosen.tolist())]


def each(cases: Sequence[Case], work: Callable[[Case], Found]) -> Iterator[tuple[Case, Found]]:
    """Yields (case, what `work` returns) in order, computed in a few threads; a case that cannot be read is left out.

    What is wrong with such a file is told by other checks.
    """
    workers = usual_workers()
    for case, future in in_order(work, cases, workers=workers, ahead=2 * workers, name="doctor"):
        try:
            yield case, future.result()
        except DatasetError:
            continue


def grey_of(
    reading: Reading, case: Case, size: tuple[int, int], used: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Returns the image in grey, resized with antialiasing; JPEG files are decoded no larger than that takes.

    Args:
        size: (H, W) of the result.
        used: (H, W) of the image's part, from its first row and column, that it shows; None for all.
    Raises:
        DatasetError: it cannot be read.
    """
    fact = reading.images[case.image]
    height, width = used or (fact.height, fact.width)
    depth_range = reading.listing.depth_range if reading.listing is not None else None
    image, _ = decode_image(case.image, depth_range=depth_range, shrink=min(height // size[0], width // size[1]))
    smaller = round(fact.width / image.width)  # how much smaller it was decoded
    box = (0, 0, min(image.width, width / smaller), min(image.height, height / smaller))
    return np.asarray(image.convert("L").resize(size[::-1], Image.Resampling.BILINEAR, box))


def labels_of(reading: Reading, case: Case) -> NDArray[np.uint8]:
    """Returns the class indices, (H, W) uint8, with `ignore_index`.

    Of a multilabel set each pixel has the highest class that it belongs to, counted from 1; 0 is in no class.

    Raises:
        DatasetError: they cannot be read or drawn.
    """
    class_map = reading.known_map
    if case.source is not None:
        if case.id not in reading.paintings:
            raise DatasetError("its labels cannot be drawn", path=case.source)
        labels, _ = paint(reading.paintings[case.id], reading.root)
        return labels if labels.ndim == 2 else _flat(list(labels), class_map.ignore_index)
    if class_map.task is not Task.MULTILABEL:
        path = case.mask_files[0]
        values = read_mask_values(path, colors=has_colors(class_map))
        return encode_mask(values, class_map, path=path, tolerance=reading.tolerance)
    planes = [
        None
        if path is None
        else encode_plane(read_mask_values(path), class_map, index, path=path, tolerance=reading.tolerance)
        for index, path in enumerate(case.masks)
    ]
    return _flat(planes, class_map.ignore_index)


def _flat(planes: Sequence[NDArray[np.uint8] | None], ignore_index: int) -> NDArray[np.uint8]:
    known = [(index, plane) for index, plane in enumerate(planes, 1) if plane is not None]
    if not known:
        raise DatasetError("it has no mask")
    labels = np.zeros(known[0][1].shape, dtype=np.uint8)
    for index, plane in known:
        labels[plane == ignore_index] = ignore_index
        labels[plane == 1] = index
    return labels
