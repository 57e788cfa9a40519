"""Predictions of files and folders, written beside each other: masks, overlays, probabilities, areas."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from segbench.data.formats import IMAGE_SUFFIXES
from segbench.errors import PredictionError
from segbench.locale import message
from segbench.predict.journal import journal_key, opened_journal
from segbench.predict.large import is_large, write_large
from segbench.predict.outputs import (
    OutputOptions,
    finish_outputs,
    output_files,
    prepare_outputs,
    write_areas,
    write_outputs,
)
from segbench.predict.pages import pages_of
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.stages import Done, Job, Row, Stages
from segbench.types import Progress


@dataclass(frozen=True)
class PredictedFiles:
    """What became of the images.

    Attributes:
        written: names of the predicted images.
        failed: path (of a stack from its second page on, with the page) -> why.
        areas_file: the table.
        kept: how many of those written were there from before, see `predict_files`.
        idle_frac: share of the time in which the network waited for images, 0-1; NaN where it had nothing to do.
    """

    written: tuple[str, ...]
    failed: dict[str, str]
    areas_file: Path
    kept: int = 0
    idle_frac: float = math.nan


def predict_files(
    predictor: Predictor,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    options: OutputOptions | None = None,
    overwrite: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> PredictedFiles:
    """Segments every image and writes `masks/`, `areas.csv` and what `options` asks for under `out`.

    `legend.png` says which class has which colour in the overlays. `areas.csv` names files below the folder that was
    given, so that it can be passed on without the paths of this machine. `predicted.jsonl` notes what is done: where
    the call is stopped, the same call goes on, and images whose outputs are there, of the same model, settings and
    file, are not predicted again.

    Args:
        predictor: see `Predictor`.
        paths: image files and folders (searched with their sub-folders, but for `out`).
        out: folder; masks are palette PNGs of class indices at the image's own size, multilabel one a class;
            `masks/classes.json` says so, for `segbench compare`. A network trained on bands reads GeoTIFF and writes
            GeoTIFF masks on the same grid, 255 where there is no data.
        options: what is written beside masks and areas; None: overlays.
        overwrite: predict everything again.
        engine: goes over the images; None: this process.
        progress: told after every image.
    Returns:
        What was written and what was not: an unreadable image is noted and the rest goes on.
    Raises:
        PredictionError: a path does not exist or lies in `out`, there is no image at all, or another process writes
            there.
        OSError: the disk is full, or `out` cannot be written.
    """
    out, options = Path(out), options or OutputOptions()
    jobs = find_jobs(paths, out, pages=predictor.bands is None)
    settings, on_grid = predictor.pipeline.settings, predictor.bands is not None
    key = journal_key(
        predictor.model_id, predictor.runtime, settings.to_dict(), asdict(options), dict(predictor.card or {})
    )
    rows: dict[str, Row] = {}
    failed: dict[str, str] = {}

    with opened_journal(out, key, again=overwrite) as journal:
        prepare_outputs(settings, out, options)
        for job in jobs:
            row = journal.row_of(job.name, job.path)
            if row is not None and _is_complete(predictor, job, out, options):
                rows[job.name] = row
        kept = len(rows)
        left = [job for job in jobs if job.name not in rows]
        stages = local_stages(predictor, out, options)
        running = stages.run(left) if engine is None else engine.run(left, out, options)
        for number, done in enumerate(running, start=kept + 1):
            if done.row is None:
                failed[done.job.told] = done.reason
            else:
                rows[done.job.name] = done.row
                journal.add(done.job.name, done.job.path, done.row)
            if progress is not None:
                progress("predicting", number, len(jobs))
        written = [job.name for job in jobs if job.name in rows]
        write_areas(out / "areas.csv", [rows[name] for name in written])
        times = Counter(job.below for job in jobs)  # below two arguments: told apart by the name of what is written
        images = [
            (job.name, job.path, job.below if times[job.below] == 1 else Path(f"{job.name}{job.path.suffix}"))
            for job in jobs
            if job.name in rows
        ]
        finish_outputs(out, images, predictor.class_map, options, on_grid=on_grid)
    return PredictedFiles(tuple(written), failed, out / "areas.csv", kept, stages.clock.idle_frac)


def _is_complete(predictor: Predictor, job: Job, out: Path, options: OutputOptions) -> bool:
    on_grid = predictor.bands is not None or is_large(predictor.pipeline, job.path)
    files = output_files(out, job.name, predictor.class_map, options, on_grid=on_grid)
    return all(file.is_file() for file in files)


class Engine(Protocol):
    """Something that goes over images elsewhere; see `segbench.predict.engine_ray`."""

    def run(self, jobs: Sequence[Job], out: Path, options: OutputOptions) -> Iterator[Done]:
        """Yields every image when its files are written, or it failed."""
        ...


def local_stages(predictor: Predictor, out: Path, options: OutputOptions, *, threads: int | None = None) -> Stages:
    """Returns what goes over images in this process and writes each one's files; see `predict_files` and `Stages`."""

    pipeline = predictor.pipeline

    def write(job: Job, prediction: Prediction) -> Row:
        if job.page is not None and (wrong := [kind for kind in options.polygons if kind != "geojson"]):
            text = message("{formats} name image files, not pages of them; use geojson", formats=", ".join(wrong))
            raise PredictionError(text, path=job.path)
        like = None if predictor.bands is None else job.path
        row = write_outputs(prediction, out, job.name, options, like, predictor.card)
        return row | {"file": job.below.as_posix()}

    def by_parts(job: Job) -> Callable[[], Row] | None:
        if not is_large(pipeline, job.path):
            return None
        return lambda: write_large(predictor, job.path, out, job.name, options) | {"file": job.below.as_posix()}

    return Stages(predictor, write, by_parts=by_parts, threads=threads)


def find_jobs(paths: Sequence[str | Path], out: Path, *, pages: bool = True) -> list[Job]:
    """Returns the images and what their outputs are called; see `find_images` and `output_names`.

    Args:
        pages: each page of a TIFF stack is an image of its own, `NAME/0000` and so on; else such a file is one image.
    """
    found = find_images(paths, out)
    return [
        job
        for (path, below), name in zip(found, output_names(found), strict=True)
        for job in _jobs_of(path, below, name, pages_of(path) if pages else ())
    ]


def _jobs_of(path: Path, below: Path, name: str, pages: Sequence[int]) -> list[Job]:
    if len(pages) < 2:
        return [Job(path=path, below=below, name=name, page=pages[0] if pages else None)]
    return [Job(path=path, below=below, name=f"{name}/{number:04d}", page=page) for number, page in enumerate(pages)]


def find_images(paths: Sequence[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """Returns (image file, its path below the argument that named it), without what lies in `out`.

    Raises:
        PredictionError: a path does not exist or lies in `out`, or there is no image at all.
    """
    for path in map(Path, paths):
        if path.resolve().is_relative_to(out.resolve()):
            raise PredictionError(
                f"lies in {out}, where the predictions would be written; give another folder", path=path
            )
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
    taken: set[str] = set()
    for position, name in enumerate(names):  # the same relative name below two arguments
        number = 1
        while _as_file(names[position]) in taken:
            number += 1
            names[position] = f"{name}_{number}"
        taken.add(_as_file(names[position]))
    return names


def _as_file(name: str) -> str:
    """Returns what two names must differ in: not in upper and lower case alone, nor in a folder that is `__` alone."""
    return name.replace("/", "__").lower()
