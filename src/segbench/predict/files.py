"""Predictions of files and folders, written beside each other: masks, overlays, probabilities, areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segbench.data.files import raster
from segbench.data.formats import IMAGE_SUFFIXES
from segbench.errors import DatasetError, PredictionError
from segbench.files import replacing, write_csv
from segbench.plots.panels import legend_picture
from segbench.predict.mask_folder import mark_indices
from segbench.predict.predictor import Prediction, Predictor
from segbench.types import ClassMap, Progress


@dataclass(frozen=True)
class PredictedFiles:
    """Attributes: written, the names of the predicted images; failed, path -> why; areas_file, the table."""

    written: tuple[str, ...]
    failed: dict[str, str]
    areas_file: Path


def predict_files(
    predictor: Predictor,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    probs: bool = False,
    progress: Progress | None = None,
) -> PredictedFiles:
    """Segments every image and writes `masks/`, `overlays/`, `areas.csv` and, if asked, `probs/` under `out`.

    `legend.png` says which class has which colour in the overlays. `areas.csv` names files below the folder that was
    given, so that it can be passed on without the paths of this machine.

    Args:
        predictor: see `Predictor`.
        paths: image files and folders (searched with their sub-folders, but for `out`).
        out: folder; masks are palette PNGs of class indices at the image's own size, multilabel one a class;
            `masks/classes.json` says so, for `segbench compare`. A network trained on bands reads GeoTIFF and writes
            GeoTIFF masks on the same grid, 255 where there is no data.
        probs: also write (C, H, W) float16 probabilities as compressed `.npz` under the key `probs`.
        progress: told after every image.
    Returns:
        What was written and what was not: an unreadable image is noted and the rest goes on.
    Raises:
        PredictionError: a path does not exist, or there is no image at all.
    """
    out = Path(out)
    found = find_images(paths, out)
    names = output_names(found)
    rows: list[list[object]] = []
    written: list[str] = []
    failed: dict[str, str] = {}
    class_names = predictor.class_map.names
    mark_indices(out / "masks", predictor.class_map)
    for done, ((path, below), name) in enumerate(zip(found, names, strict=True), start=1):
        try:
            image, nodata = predictor.pipeline.read(path)
        except DatasetError as error:
            failed[str(path)] = error.reason
        else:
            prediction = predictor(image, nodata)
            _write_one(prediction, out, name, like=None if predictor.bands is None else path, probs=probs)
            written.append(name)
            height, width = image.shape[:2]
            rows.append([name, below.as_posix(), width, height, *(f"{v:.6f}" for v in prediction.area_fracs.values())])
        if progress is not None:
            progress("predicting", done, len(found))
    with replacing(out / "legend.png") as temporary:
        legend_picture(predictor.class_map).save(temporary)
    areas_file = out / "areas.csv"
    write_csv(areas_file, ["id", "file", "width", "height", *(f"{name}_frac" for name in class_names)], rows)
    return PredictedFiles(tuple(written), failed, areas_file)


def find_images(paths: Sequence[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """Returns (image file, its path below the argument that named it), without what lies in `out`.

    Raises:
        PredictionError: a path does not exist, or there is no image at all.
    """
    found = [item for item in _images_in(paths) if not item[0].resolve().is_relative_to(out.resolve())]
    if not found:
        raise PredictionError(
            f"there is no image in {', '.join(map(str, paths))} ({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return found


def _images_in(paths: Iterable[str | Path]) -> Iterable[tuple[Path, Path]]:
    """Yields (image file, its path below the argument that named it); files named outright are tried whatever their
    suffix, folders are searched for image suffixes."""
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
                if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file() and not hidden:
                    yield file, file.relative_to(path)
        elif path.is_file():
            yield path, Path(path.name)
        else:
            raise PredictionError("there is no such file or folder", path=path)


def output_names(found: Sequence[tuple[Path, Path]]) -> list[str]:
    """Returns one output name a file, without suffix where that is unambiguous; sub-folders are kept."""
    stems = Counter(str(relative.with_suffix("")) for _, relative in found)
    names = [
        relative.with_suffix("").as_posix() if stems[str(relative.with_suffix(""))] == 1 else relative.as_posix()
        for _, relative in found
    ]
    seen: Counter[str] = Counter()
    for position, name in enumerate(names):  # the same relative name below two arguments
        seen[name] += 1
        if seen[name] > 1:
            names[position] = f"{name}_{seen[name]}"
    return names


def _write_one(prediction: Prediction, out: Path, name: str, *, like: Path | None, probs: bool) -> None:
    """Writes one image's files.

    Args:
        like: raster file on whose grid the mask is; None writes PNG.
    """
    class_map, mask = prediction.class_map, prediction.mask
    planes = [(out / "masks", mask)]
    if mask.ndim == 3:
        planes = [(out / "masks" / each, plane) for each, plane in zip(class_map.names, mask, strict=True)]
    for folder, plane in planes:
        if like is None:
            write_mask(folder / f"{name}.png", plane, class_map)
        else:
            raster.write_labels(folder / f"{name}.tif", plane, class_map, like, prediction.nodata)
    with replacing(out / "overlays" / f"{name}.png") as temporary:
        Image.fromarray(prediction.overlay()).save(temporary)
    if probs:
        with replacing(out / "probs" / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probs=prediction.probs.astype(np.float16))


def write_mask(path: Path, mask: np.ndarray, class_map: ClassMap) -> None:
    """Writes (H, W) uint8 class indices as a palette PNG in the class map's display colours."""
    picture = Image.fromarray(mask)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: class_map.num_classes] = class_map.colors
    picture.putpalette(palette.tobytes())
    with replacing(path) as temporary:
        picture.save(temporary, optimize=True)
