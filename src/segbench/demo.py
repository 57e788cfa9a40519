"""The demo: a small study on built-in images, ending in a verdict and a report; and predictions of its best entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segbench.compare.gather import study_evidence
from segbench.compare.runs import Comparison, compare_evidence
from segbench.config.study import StudyConfig, parse_study
from segbench.data.manifest.manifest import Manifest
from segbench.data.synthetic.write import write_lesions
from segbench.errors import RunError
from segbench.folders.study import StudyFolder
from segbench.predict.files import predict_files
from segbench.predict.predictor import Predictor
from segbench.report.page import write_report
from segbench.study.live import StudyCallback, failure_lines
from segbench.study.run import run_study

_IMAGES, _SIZE_PX, _PREDICTED = 160, 96, 12


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo made.

    Attributes:
        study: its folder.
        comparison: of the four entries.
        page: the report.
        predicted: folder of masks and overlays that the best entry predicts for some test images.
    """

    study: StudyFolder
    comparison: Comparison
    page: Path
    predicted: Path


def run_demo(out: Path, *, epochs: int, watch: StudyCallback) -> Demo:
    """Runs the demo into a folder; run again, it goes on where it was stopped.

    Args:
        out: folder for the images, the study, the predictions and `index.html`.
        epochs: of each training.
        watch: told about progress.
    Raises:
        RunError: a run failed.
    """
    write_lesions(out / "lesions", count=_IMAGES, seed=0, progress=watch.progress)
    folder = run_study(demo_study(out, epochs), watch=watch)
    failed = failure_lines(folder.status())
    if failed:
        raise RunError("; ".join(failed), run=folder.path)
    evidence = study_evidence(folder, progress=watch.progress)
    comparison = compare_evidence(evidence, study=folder)
    best = evidence.entries[comparison.verdict.best]
    _predict(str(best.runs[0].path), out / "predicted", watch)
    page = write_report(out / "index.html", evidence, study=folder, lang="en", progress=watch.progress).html
    return Demo(study=folder, comparison=comparison, page=page, predicted=out / "predicted")


def demo_study(out: Path, epochs: int) -> StudyConfig:
    """Returns the study: two networks x two losses x two seeds."""
    return parse_study(
        {
            "study": "demo",
            "title": "segbench demo: which network and which loss find the lesion?",
            "question": "Do skip connections matter, and does a loss made for overlap, on drawn lesions?",
            "expected": "Skips help to draw the border, so the U-Net should win; the loss should matter less.",
            "base": {
                "data": {
                    "path": str(out / "lesions"),
                    "options": {"classes": {"background": 0, "lesion": 255}},
                    "size": _SIZE_PX,
                    "split": {"ratios": [0.55, 0.1, 0.35]},
                    "augment": {"vflip": 0.5, "rotate_deg": 20, "scale": [0.9, 1.2], "brightness": 0.1},
                    "cache_dir": str(out / "cache"),
                },
                "optimizer": {"lr": 4e-3},
                "epochs": epochs,
                "batch_size": 8,
            },
            "vary": {
                "network": ["segnet", "unet_nearest"],
                "loss": {"bce": {"bce": 1.0}, "dice+bce": {"dice": 0.5, "bce": 0.5}},
                "seed": [0, 1],
            },
            "baseline": {"network": "segnet", "loss": "bce"},
            "output": str(out / f"study_{epochs}_epochs"),
        }
    )


def _predict(run: str, out: Path, watch: StudyCallback) -> None:
    predictor = Predictor.from_run(run)
    manifest = Manifest.read(Path(run) / "manifest.json")
    samples = manifest.split("test")[:_PREDICTED]
    predict_files(predictor, [manifest.image_path(sample) for sample in samples], out, progress=watch.progress)
