"""`segbench assist`: a first model from a handful of labelled images, and the rest outlined with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import Quiet, console, make_callback
from segbench.cli.data import DataFormat, ReaderOptions, read_any, read_options, unpacked
from segbench.cli.predict import predict_as, print_done
from segbench.errors import ConfigError
from segbench.locale import plural
from segbench.speech import in_shell

if TYPE_CHECKING:
    from segbench.assist.first_model import FirstModel


def assist(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images, some of them labelled.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle to write (.segbench).")] = Path("first.segbench"),
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Images to predict, or folders; default: those beside the labelled ones without labels."),
    ] = None,
    predict: Annotated[Path | None, typer.Option(help="Folder for predictions.")] = None,
    tool: Annotated[
        str | None,
        typer.Option(
            "--as", help="Predict for an annotation tool, as `segbench predict --as`: via, labelme, coco, ..."
        ),
    ] = None,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    encoder: Annotated[
        str | None, typer.Option(help="lite0, lite1 or lite2; default: the smallest that is installed.")
    ] = None,
    long_side: Annotated[
        int, typer.Option(min=64, max=1024, help="Of the median image, in pixels; larger finds smaller objects.")
    ] = 256,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --predict: predict again; with --as, replace the folder.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make a first model from a few labelled images in seconds, without a training, and predict the others with it.

    Label more, call it again: what it saw of the images before is kept. Images without any label count as not labelled
    yet, not as empty.

    Example: segbench assist outlined -o first.segbench --predict to_correct --as via
    """
    if predict is None and (images or tool is not None or overwrite):
        raise ConfigError("say where the predictions go: --predict FOLDER", key="--images, --as, --overwrite")
    if out.suffix != ".segbench":
        raise ConfigError(f"expected a name that ends in .segbench, got {out}", key="--out")
    from segbench.assist.labelled import not_yet_options, unlabelled_images
    from segbench.data.manifest.manifest import is_manifest

    if not is_manifest(data):
        data = unpacked(data)
        more = not_yet_options(data, data_format, read_options(options))
        options = [*(options or []), *(f"{key}={value}" for key, value in more.items())]
    manifest = read_any(data, data_format, options, quiet=quiet)
    if predict is not None and not images:
        images = unlabelled_images(manifest)
        if not images:
            raise ConfigError(
                f"every image in {manifest.folder} is labelled; name the images to predict", key="--images"
            )
    from segbench.assist.features import packaged_network
    from segbench.assist.first_model import make_first_model

    network = packaged_network(manifest.class_map.out_channels, encoder)
    watch = make_callback(quiet)
    try:
        made = make_first_model(manifest, network=network, long_side_px=long_side, progress=watch.progress)
    finally:
        watch.close()
    made.bundle.write(out)
    counted = plural("learnt from {n} labelled image", "learnt from {n} labelled images", n=made.images)
    console.print(f"{counted}: {out}")
    for sentence in made.sentences:
        console.print(sentence)
    if predict is None:
        console.print(f"next: segbench predict {in_shell(out)} IMAGES -o predicted --as via")
        return
    assert images is not None
    _predict(made, images, predict, tool, overwrite=overwrite, quiet=quiet)


def _predict(
    made: FirstModel, images: list[Path], out: Path, tool: str | None, *, overwrite: bool, quiet: bool
) -> None:
    from segbench.predict.files import predict_files
    from segbench.predict.outputs import OutputOptions
    from segbench.predict.predictor import Predictor

    predictor = Predictor.of_bundles([made.bundle], "cpu")
    if tool is not None:
        predict_as(predictor, images, out, tool, link=False, rle=False, simplify=None, overwrite=overwrite, quiet=quiet)
        return
    options = OutputOptions()
    watch = make_callback(quiet)
    try:
        done = predict_files(predictor, images, out, options=options, overwrite=overwrite, progress=watch.progress)
    finally:
        watch.close()
    print_done(done, out, options)
