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

_IMAGES, _DRAWN_PX, _SIZE_PX, _PREDICTED = 400, (96, 128), 64, 12


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


def run_demo(out: Path, *, epochs: int, watch: StudyCallback, data_seed: int = 0) -> Demo:
    """Runs the demo into a folder; run again, it goes on where it was stopped.

    Args:
        out: folder for the images, the study, the predictions and `index.html`.
        epochs: of each training.
        watch: told about progress.
        data_seed: of the drawn images; the answer does not hang on it.
    Raises:
        RunError: a run failed.
    """
    write_lesions(out / "lesions", count=_IMAGES, size=_DRAWN_PX, seed=data_seed, progress=watch.progress)
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
    """Returns the study: skip connections or none x two ways of upsampling x four seeds.

    What it asks has an answer that does not hang on luck: without skips a small network cannot draw the border, and
    both ways of upsampling reach the same. Small networks, many test images and four seeds make both visible.
    """
    return parse_study(
        {
            "study": "demo",
            "title": "segbench demo: what does a U-Net need to outline a lesion?",
            "question": "Do skip connections matter, and does it matter how the decoder enlarges its maps?",
            "expected": {"network.skip": "skips", "network.upsampling": False},
            "practical": 0.03,
            "labels": {
                "network.skip": "Skip connections",
                "skips": "with skips",
                "none": "without skips",
                "network.upsampling": "Upsampling",
            },
            "base": {
                "data": {
                    "path": str(out / "lesions"),
                    "options": {"classes": {"background": 0, "lesion": 255}},
                    "size": _SIZE_PX,
                    "split": {"ratios": [0.3, 0.05, 0.65]},
                    "augment": {"vflip": 0.5, "rotate_deg": 20, "scale": [0.9, 1.2], "brightness": 0.1},
                    "cache_dir": str(out / "cache"),
                },
                "network": {"name": "unet", "widths": [8, 16, 32, 64]},
                "loss": {"dice": 0.5, "bce": 0.5},
                "optimizer": {"lr": 4e-3},
                "schedule": "one_cycle",
                "epochs": epochs,
                "batch_size": 8,
            },
            "vary": {
                "network.skip": {"none": "none", "skips": "concat"},
                "network.upsampling": ["nearest", "bilinear"],
                "seed": [0, 1, 2, 3],
            },
            "baseline": {"network.skip": "none", "network.upsampling": "nearest"},
            "output": str(out / f"study_{epochs}_epochs"),
        }
    )


def _predict(run: str, out: Path, watch: StudyCallback) -> None:
    predictor = Predictor.from_run(run)
    manifest = Manifest.read(Path(run) / "manifest.json")
    samples = manifest.split("test")[:_PREDICTED]
    predict_files(predictor, [manifest.image_path(sample) for sample in samples], out, progress=watch.progress)
