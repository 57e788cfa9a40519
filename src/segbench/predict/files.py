"""Predictions of files and folders, written beside each other: masks, overlays, probabilities, areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.data.formats import IMAGE_SUFFIXES
from segbench.errors import DatasetError, PredictionError
from segbench.predict.outputs import OutputOptions, finish_outputs, prepare_outputs, write_areas, write_outputs
from segbench.predict.predictor import Predictor
from segbench.types import Progress


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
    options: OutputOptions | None = None,
    progress: Progress | None = None,
) -> PredictedFiles:
    """Segments every image and writes `masks/`, `areas.csv` and what `options` asks for under `out`.

    `legend.png` says which class has which colour in the overlays. `areas.csv` names files below the folder that was
    given, so that it can be passed on without the paths of this machine.

    Args:
        predictor: see `Predictor`.
        paths: image files and folders (searched with their sub-folders, but for `out`).
        out: folder; masks are palette PNGs of class indices at the image's own size, multilabel one a class;
            `masks/classes.json` says so, for `segbench compare`. A network trained on bands reads GeoTIFF and writes
            GeoTIFF masks on the same grid, 255 where there is no data.
        options: what is written beside masks and areas; None: overlays.
        progress: told after every image.
    Returns:
        What was written and what was not: an unreadable image is noted and the rest goes on.
    Raises:
        PredictionError: a path does not exist, or there is no image at all.
    """
    out, options = Path(out), options or OutputOptions()
    found = find_images(paths, out)
    names = output_names(found)
    rows: list[dict[str, Any]] = []
    written: list[str] = []
    failed: dict[str, str] = {}
    prepare_outputs(predictor.pipeline.settings, out, options)
    for done, ((path, below), name) in enumerate(zip(found, names, strict=True), start=1):
        try:
            image, nodata = predictor.pipeline.read(path)
        except DatasetError as error:
            failed[str(path)] = error.reason
        else:
            prediction = predictor(image, nodata)
            like = None if predictor.bands is None else path
            row = write_outputs(prediction, out, name, options, like, predictor.card)
            rows.append(row | {"file": below.as_posix()})
            written.append(name)
        if progress is not None:
            progress("predicting", done, len(found))
    areas_file = out / "areas.csv"
    write_areas(areas_file, rows)
    images = [(name, path) for name, (path, _) in zip(names, found, strict=True) if str(path) not in failed]
    finish_outputs(out, images, predictor.class_map, options, on_grid=predictor.bands is not None)
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
