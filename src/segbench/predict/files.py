"""Predictions of files and folders, written beside each other: masks, overlays, probabilities, areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from segbench.errors import PredictionError
from segbench.locale import message
from segbench.predict.found import Job, find_images
from segbench.predict.journal import journal_key, opened_journal
from segbench.predict.large import is_large, write_large
from segbench.predict.outputs import (
    OutputOptions,
    finish_outputs,
    output_files,
    prepare_outputs,
    shared_files,
    write_areas,
    write_outputs,
)
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.stages import Done, Row, Stages
from segbench.predict.unchanged import PredictedFiles, end_facts
from segbench.types import Progress


def predict_files(
    predictor: Predictor,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    options: OutputOptions | None = None,
    overwrite: bool = False,
    engine: Engine | None = None,
    asked: str = "",
    progress: Progress | None = None,
) -> PredictedFiles:
    """Segments every image and writes `masks/`, `areas.csv` and what `options` asks for under `out`.

    `legend.png` says which class has which colour in the overlays. `areas.csv` names files below the folder that was
    given, so that it can be passed on without the paths of this machine. `predicted.jsonl` notes what is done: where
    the call is stopped, the same call goes on, and images whose outputs are there, of the same model, settings and
    file, are not predicted again.

    Args:
        predictor: see `Predictor`.
        paths: image files and folders (searched with their sub-folders, but for `out`), see `find_images`.
        out: folder; masks are palette PNGs of class indices at the image's own size, multilabel one a class;
            `masks/classes.json` says so, for `segbench compare`. A network trained on bands reads GeoTIFF and writes
            GeoTIFF masks on the same grid, 255 where there is no data.
        options: what is written beside masks and areas; None: overlays.
        overwrite: predict everything again.
        engine: goes over the images; None: this process.
        asked: noted for `segbench.predict.unchanged.nothing_left`, see there.
        progress: told after every image.
    Returns:
        What was written and what was not: an unreadable image is noted and the rest goes on.
    Raises:
        PredictionError: a path does not exist or lies in `out`, there is no image at all, or another process writes
            there.
        OSError: the disk is full, or `out` cannot be written.
    """
    out, options = Path(out), options or OutputOptions()
    found = find_images(paths, out)
    jobs = found.jobs(pages=predictor.bands is None)
    settings, on_grid = predictor.pipeline.settings, predictor.bands is not None
    several = predictor.averages_several
    key = journal_key(
        predictor.model_id, predictor.runtime, settings.to_dict(), asdict(options), dict(predictor.card or {})
    )
    rows: dict[str, Row] = {}
    failed = dict(found.failed)

    with opened_journal(out, key, again=overwrite) as journal:
        prepare_outputs(settings, out, options, several=several)
        for job in jobs:
            row = journal.before.row_of(job.name, job.path)
            if row is not None:
                rows[job.name] = row
        kept = len(rows)
        left = [job for job in jobs if job.name not in rows]
        stages = local_stages(predictor, out, options)
        running = stages.run(left) if engine is None else engine.run(left, out, options, predictor.pipeline.hear)
        for number, done in enumerate(running, start=kept + 1):
            if done.row is None:
                failed[done.job.told] = done.reason
            else:
                rows[done.job.name] = done.row
                journal.add(done.job.name, done.job.path, done.row, _files_of(predictor, done.job, out, options))
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
        if not failed:
            journal.finish(end_facts(asked, jobs, pages=not on_grid), shared_files(out, options, several=several))
    return PredictedFiles(tuple(written), failed, out / "areas.csv", kept, stages.clock.idle_frac, found.twice)


def _files_of(predictor: Predictor, job: Job, out: Path, options: OutputOptions) -> list[Path]:
    on_grid = predictor.bands is not None or is_large(predictor.pipeline, job.path)
    several = predictor.averages_several
    return output_files(out, job.name, predictor.class_map, options, on_grid=on_grid, several=several)


Hear: TypeAlias = Callable[[Mapping[str, Any]], None]


class Engine(Protocol):
    """Something that goes over images elsewhere; see `segbench.predict.engine_ray`."""

    def run(self, jobs: Sequence[Job], out: Path, options: OutputOptions, hear: Hear) -> Iterator[Done]:
        """Yields every image when its files are written, or it failed; `hear` is told what `Pipeline.hear` takes."""
        ...


def local_stages(
    predictor: Predictor,
    out: Path,
    options: OutputOptions,
    *,
    threads: int | None = None,
    rows: Progress | None = None,
) -> Stages:
    """Returns what goes over images in this process and writes each one's files; see `predict_files` and `Stages`.

    Args:
        rows: told after every row of tiles of an image that is predicted part by part.
    """

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
        return lambda: write_large(predictor, job.path, out, job.name, options, rows) | {"file": job.below.as_posix()}

    return Stages(predictor, write, by_parts=by_parts, threads=threads, with_disagreement=options.doubt)
