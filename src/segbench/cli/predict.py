"""`segbench predict`: masks of any images, for people or for an annotation tool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from segbench.cli._common import (
    EXIT_PROBLEMS,
    Device,
    EnsembleOption,
    EntryOption,
    ModelPath,
    Quiet,
    TtaOption,
    checked_tta,
    console,
    make_callback,
    require,
    runs_of,
)
from segbench.cli.convert import Link, Rle, parse_simplify, print_end, regions_text, write_options
from segbench.errors import ConfigError
from segbench.locale import plural
from segbench.types import AUTO_RUNTIME, SizePolicy

if TYPE_CHECKING:
    from segbench.predict.files import Engine
    from segbench.predict.outputs import OutputOptions
    from segbench.predict.predictor import Predictor
    from segbench.predict.recipe import Recipe
    from segbench.predict.unchanged import PredictedFiles


def predict(
    run: ModelPath,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images and folders of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks, overlays and areas.csv.")],
    probs: Annotated[bool, typer.Option("--probs", help="Also write probabilities (.npz).")] = False,
    probs_as: Annotated[str | None, typer.Option(help="Probabilities as npz, npy, tif or zarr.")] = None,
    polygons: Annotated[
        str | None, typer.Option(help="Also polygons: geojson, coco, labelme, via, several with commas.")
    ] = None,
    objects: Annotated[bool, typer.Option("--objects", help="Also a table of all objects.")] = False,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Pictures of the masks.")] = True,
    doubt: Annotated[bool, typer.Option("--doubt", help="Also pictures of how unsure each pixel is.")] = False,
    mm_per_px: Annotated[float | None, typer.Option(help="Side of a pixel in mm, for areas in mm2.")] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="Images of other sizes: whole, resize or tiles; default: as the network was trained."),
    ] = None,
    fill_holes_px: Annotated[int, typer.Option(min=0, help="Fill holes of at most this area.")] = 0,
    smallest_px: Annotated[int, typer.Option(min=0, help="Take away regions below this area.")] = 0,
    keep_largest: Annotated[
        bool, typer.Option("--keep-largest", help="Keep each class's largest region only.")
    ] = False,
    smooth_px: Annotated[int, typer.Option(min=0, help="Smooth outlines by a majority within this radius.")] = 0,
    threshold: Annotated[float | None, typer.Option(help="Of the probability; default: the run's.")] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--as", help="For an annotation tool: coco, cvat, folder, labelme, labelstudio, via, voc or yolo."
        ),
    ] = None,
    link: Link = False,
    rle: Rle = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Predict what is there again; with --as, replace the folder.")
    ] = False,
    simplify: Annotated[
        str | None,
        typer.Option(help="Corners of polygons to leave out: none, auto or pixels; default: auto, GeoJSON none."),
    ] = None,
    tta: TtaOption = None,
    ensemble: EnsembleOption = None,
    entry: EntryOption = None,
    device: Device = "auto",
    runtime: Annotated[
        str, typer.Option(help="torch, onnxruntime, openvino, openvino-bf16, or auto: the quickest proven equal.")
    ] = "torch",
    engine: Annotated[str, typer.Option(help="local: this machine; ray: a cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="With --engine ray: of a running cluster.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="With --engine ray: at most so many.")] = None,
    quiet: Quiet = False,
) -> None:
    """Segment images of any size: masks, overlays and the area of each class; or write them for an annotation tool.

    Example: segbench predict runs/ph2 photos/ -o predicted, segbench predict runs/ph2 photos/ --as via -o to_correct,
    segbench predict runs/my_study photos/ --entry unet --tta flips -o predicted
    """
    if threshold is not None and not 0.0 < threshold < 1.0:
        raise ConfigError(f"expected a probability between 0 and 1, got {threshold}", key="--threshold")
    if policy is not None:
        require("--policy", policy, get_args(SizePolicy))
    chosen_tta = checked_tta(tta)
    runs = runs_of(run, ensemble, entry)
    require("--engine", engine, ("local", "ray"))
    if engine == "local" and (address is not None or workers is not None):
        raise ConfigError("goes with --engine ray only", key="--address, --workers")
    from segbench.predict.found import find_images
    from segbench.predict.outputs.options import PROBS_FORMATS, OutputOptions
    from segbench.predict.postprocess import Postprocess
    from segbench.predict.recipe import Recipe
    from segbench.predict.unchanged import nothing_left

    if probs_as is not None:
        require("--probs-as", probs_as, PROBS_FORMATS)
    options = OutputOptions(
        overlays=overlays,
        probs=probs_as or ("npz" if probs else None),  # type: ignore[arg-type]  # a word, which the options judge
        polygons=tuple(each.strip() for each in polygons.split(",")) if polygons else (),  # type: ignore[misc]
        simplify=parse_simplify(simplify) if tool is None and simplify is not None else None,
        objects=objects,
        doubt=doubt,
        mm_per_px=mm_per_px,
    )
    cleaning = Postprocess(
        fill_holes_px=fill_holes_px, smallest_px=smallest_px, keep_largest=keep_largest, smooth_px=smooth_px
    )
    recipe = Recipe(
        models=tuple(map(str, runs)),
        device=device,
        threshold=threshold,
        tta=chosen_tta,
        policy=cast("SizePolicy | None", policy),
        runtime=runtime,
        postprocess=None if cleaning.is_off else cleaning,
    )
    videos = _videos(paths)
    if tool is not None:
        if options != OutputOptions():
            raise ConfigError(
                "goes with masks, not with --as", key="--probs, --polygons, --objects, --doubt, --overlays"
            )
        if videos:
            told = "annotation tools' files name images, and this is a video; save its frames as images, and give those"
            raise ConfigError(f"{told}: {', '.join(map(str, videos))}", key="--as")
    elif link or rle:
        raise ConfigError("goes with --as only", key="--link, --rle")
    elif simplify is not None and not polygons:
        raise ConfigError("goes with --as or --polygons only", key="--simplify")
    if engine != "local" and (videos or tool is not None):
        raise ConfigError("spreads images to masks; --as and videos go on this machine", key="--engine")
    if len(videos) not in (0, len(paths)):
        others = ", ".join(str(path) for path in paths if path not in videos)
        raise ConfigError(f"videos and images go in calls of their own; {others} is no video", key="PATH")
    asked = recipe.asked(options)
    if not (tool or videos or overwrite) and (done := nothing_left(asked, paths, out)) is not None:
        print_done(done, out, options)
        return
    images = [path for path, _ in find_images(paths, out).images] if runtime == AUTO_RUNTIME and not videos else []
    predictor = recipe.make(images, None if quiet else console.print)
    if tool is not None:
        predict_as(
            predictor, paths, out, tool,
            link=link, rle=rle, simplify=simplify, overwrite=overwrite, quiet=quiet,
        )  # fmt: skip
        return
    if videos:
        _predict_videos(predictor, paths, out, options, quiet)
        return
    from segbench.predict.files import predict_files

    watch = make_callback(quiet)
    try:
        with _engine(engine, address, replace(recipe, runtime=predictor.runtime), workers) as elsewhere:
            done = predict_files(
                predictor, paths, out,
                options=options, overwrite=overwrite, engine=elsewhere, asked=asked, progress=watch.progress,
            )  # fmt: skip
    finally:
        watch.close()
    for note in (*predictor.pipeline.notes.values(), predictor.pipeline.seams.note):
        if note is not None:
            console.print(note)
    print_done(done, out, options)


def print_done(done: PredictedFiles, out: Path, options: OutputOptions) -> None:
    """Prints what became of images; ends with 1 where some failed."""
    from segbench.predict.outputs.areas import unlike_images

    folders = f"{out}/masks, {out}/overlays" if options.overlays else f"{out}/masks"
    there = f" ({done.kept} were there)" if done.kept else ""
    _tell_twice(done.twice)
    counted = plural("{n} image", "{n} images", n=len(done.written))
    console.print(f"{counted} segmented{there}: {folders}, {done.areas_file}")
    unlike = unlike_images(done.areas_file)
    if unlike:
        console.print(
            plural(
                "{n} image is unlike those that the model learnt from; areas.csv says in what",
                "{n} images are unlike those that the model learnt from; areas.csv says in what",
                n=unlike,
            )
        )
    if done.failed:
        for path, reason in done.failed.items():
            console.print(f"not segmented: {path}: {reason}")
        raise typer.Exit(EXIT_PROBLEMS)


def _videos(paths: list[Path]) -> list[Path]:
    from segbench.predict.found import VIDEO_SUFFIXES

    return [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]


def _tell_twice(files: int) -> None:
    if files:
        told = plural(
            "{n} file was given more than once, and is segmented once",
            "{n} files were given more than once, and are segmented once",
            n=files,
        )
        console.print(told)


def _predict_videos(predictor: Predictor, paths: list[Path], out: Path, options: OutputOptions, quiet: bool) -> None:
    """Runs `segbench predict` on videos."""
    from segbench.predict.video import predict_videos

    watch = make_callback(quiet)
    try:
        done = predict_videos(predictor, paths, out, options=options, progress=watch.progress)
    finally:
        watch.close()
    _tell_twice(len(paths) - len(done.frames))
    overlays = f", {out}/overlays" if done.overlays else ""
    console.print(f"{sum(done.frames)} frames segmented: {out}/masks{overlays}, {done.areas_file}")


@contextmanager
def _engine(name: str, address: str | None, recipe: Recipe, workers: int | None) -> Iterator[Engine | None]:
    """Yields what goes over the images, as long as the connection to a cluster is needed; None for this process."""
    if name == "local":
        yield None
        return
    from segbench.predict.engine_ray import RayWorkers
    from segbench.study.ray import RayEngine

    cluster = RayEngine(address)
    cluster.machine()  # connects
    try:
        yield RayWorkers(recipe, workers=workers)
    finally:
        cluster.close()


def predict_as(
    predictor: Predictor,
    paths: list[Path],
    out: Path,
    to: str,
    *,
    link: bool,
    rle: bool,
    simplify: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Runs `segbench predict --as`: predictions in the format of an annotation tool; None simplifies where it can."""
    from segbench.predict.prelabel import default_options, prelabel

    chosen = simplify or ("auto" if default_options(to).simplify and not rle else "none")
    wanted = write_options(link=link, no_images=False, rle=rle, simplify=chosen)
    watch = make_callback(quiet)
    try:
        done = prelabel(
            predictor,
            paths,
            out,
            to,
            options=wanted,
            overwrite=overwrite,
            progress=watch.progress,
        )
    except ConfigError as error:
        raise ConfigError(error.reason, key="--as" if error.key == "--to" else error.key) from error
    finally:
        watch.close()
    written = done.written
    _tell_twice(done.twice)
    console.print(f"{len(written.images)} images{regions_text(written)} as {to}, to be corrected: {out}")
    print_end(written, out)
    for path, reason in done.failed.items():
        console.print(f"not segmented: {path}: {reason}")
    if done.failed:
        raise typer.Exit(EXIT_PROBLEMS)
