"""The demo: built-in images in, two networks x two losses compared on a page, predictions out."""

from __future__ import annotations

from pathlib import Path

from segbench.config import RunConfig, parse_config
from segbench.data.index import Manifest
from segbench.data.synthetic import write_lesions
from segbench.predict.files import predict_files
from segbench.predict.predictor import Predictor
from segbench.report.page import Picture, write_page
from segbench.runs import RunFolder
from segbench.train.fit import fit
from segbench.train.watcher import Watcher
from segbench.types import RunResult

_NETWORKS = ("unet_nearest", "segnet")
_LOSSES: tuple[dict[str, float], ...] = ({"bce": 1.0}, {"dice": 0.5, "bce": 0.5})
_IMAGES, _SIZE_PX, _GALLERY = 160, 96, 12


def run_demo(out: Path, *, epochs: int, watch: Watcher) -> tuple[list[tuple[str, ...]], Path]:
    """Runs the demo into a folder; run again, it goes on where it was stopped.

    Args:
        out: folder for the images, the runs, the predictions and `index.html`.
        epochs: of each training.
        watch: told about progress.
    Returns:
        The table of test scores (per image), header first and best first, and the page.
    """
    write_lesions(out / "lesions", count=_IMAGES, seed=0, progress=watch.progress)
    configs = [_config(out, network, loss, epochs) for network in _NETWORKS for loss in _LOSSES]
    results = [fit(config, watch=watch) for config in configs]
    best = max(results, key=lambda result: result.scores["test"]["iou_per_image"])
    gallery = _predict_test_images(out, best, watch)
    page = out / "index.html"
    write_page(
        page,
        [RunFolder(Path(result.run)) for result in results],
        title="segbench demo: which network and which loss find the lesion?",
        question=(
            f"{len(_NETWORKS)} networks x {len(_LOSSES)} losses, each trained for {epochs} epochs on the same "
            f"{best.result['n']['train']} drawn images, with the same split, augmentation and learning rate."
        ),
        gallery=gallery,
    )
    return _table(results), page


def _config(out: Path, network: str, loss: dict[str, float], epochs: int) -> RunConfig:
    name = f"{network}_{'+'.join(loss)}"
    return parse_config(
        {
            "data": {
                "path": str(out / "lesions"),
                "options": {"classes": {"background": 0, "lesion": 255}},
                "size": _SIZE_PX,
                "split": {"ratios": [0.6, 0.15, 0.25]},
                "augment": {"vflip": 0.5, "rotate_deg": 20, "scale": [0.9, 1.2], "brightness": 0.1},
                "cache_dir": str(out / "cache"),
            },
            "network": network,
            "loss": loss,
            "optimizer": {"lr": 4e-3},
            "epochs": epochs,
            "batch_size": 8,
            "name": name,
            "output": str(out / "runs" / f"{name}_{epochs}_epochs"),
        }
    )


def _predict_test_images(out: Path, best: RunResult, watch: Watcher) -> list[Picture]:
    manifest = Manifest.read(RunFolder(Path(best.run)).manifest_file)
    samples = manifest.split("test")[:_GALLERY]
    predictor = Predictor.from_run(best.run)
    done = predict_files(
        predictor, [manifest.image_path(sample) for sample in samples], out / "predicted", progress=watch.progress
    )
    return [Picture(out / "predicted" / "overlays" / f"{name}.png", name) for name in done.written]


def _table(results: list[RunResult]) -> list[tuple[str, ...]]:
    names = {"iou_per_image": "IoU", "dice_per_image": "Dice", "thresholded_iou": "thr. IoU"}
    ranked = sorted(results, key=lambda result: -result.scores["test"]["iou_per_image"])
    rows = [
        (
            result.result["network"]["name"],
            " + ".join(result.result["loss"]),
            *(f"{result.scores['test'][name]:.4f}" for name in names),
            f"{result.result['parameters']:,}",
            f"{result.result['seconds']['epochs']:.0f}",
        )
        for result in ranked
    ]
    return [("network", "loss", *names.values(), "parameters", "seconds"), *rows]
