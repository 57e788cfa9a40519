"""A run or a bundle -> the page."""

from __future__ import annotations

from pathlib import Path

from segbench.bundle.make import bundle_runs
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples.gallery import choose_samples
from segbench.data.sources.load import load_picture
from segbench.errors import ConfigError, PredictionError
from segbench.export.html.about import about_model
from segbench.export.html.page import MOST_SAMPLES, SampleImage, page_text
from segbench.files import write_text
from segbench.folders.run import RunFolder
from segbench.locale import languages, message
from segbench.predict.predictor import Predictor
from segbench.speech import argument


def page_of(model: str | Path, *, lang: str = "en", samples: int = 0, name: str = "") -> str:
    """Returns the page of a run or a bundle as HTML, see `page_text`.

    Args:
        model: run folder, or bundle.
        lang: one of `segbench.locale.languages()`.
        samples: images of the validation part that lie in the page, 0 to `MOST_SAMPLES`; for a run only, since a bundle
            has none. Everybody who has the page has them.
        name: of the model, in the title; empty: its own.
    Raises:
        ConfigError: no such language, or that many samples are not to be had.
        RunError, BundleError, PredictionError, DatasetError: the model or its images cannot be read, or no browser
            could show them.
    """
    if lang not in languages():
        raise ConfigError(f"expected one of the languages {', '.join(languages())}, got {lang!r}", key=argument("lang"))
    if not 0 <= samples <= MOST_SAMPLES:
        raise ConfigError(f"expected 0 to {MOST_SAMPLES} images, got {samples}", key=argument("samples"))
    images = sample_images(model, samples)
    bundle = bundle_runs(model, device="cpu")
    predictor = Predictor.of_bundles([bundle], device="cpu")
    about = about_model(bundle.card, predictor.pipeline.settings, name=name)
    return page_text(predictor, about=about, card=bundle.card, samples=images, lang=lang)


def write_page(model: str | Path, file: str | Path, *, lang: str = "en", samples: int = 0) -> Path:
    """Writes the page of a run or a bundle, one HTML file; see `page_of`, also for the errors."""
    file = Path(file)
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"expected a file that ends in .html, got {file.name!r}", key=argument("out"))
    if file.is_dir():
        raise ConfigError(f"{file} is a folder; name a file in it that ends in .html", key=argument("out"))
    write_text(file, page_of(model, lang=lang, samples=samples))
    return file


def sample_images(model: str | Path, number: int) -> list[SampleImage]:
    """Returns images of a run's validation part, drawn at random, the same each time."""
    if not number:
        return []
    folder = RunFolder(Path(model))
    if not folder.manifest_file.is_file():
        raise PredictionError(message("a bundle holds no images; name the run folder, or leave the samples out"))
    manifest = Manifest.read(folder.manifest_file)
    chosen = choose_samples(manifest, number, split="val")
    return [SampleImage(name=Path(each.image).name, pixels=load_picture(manifest, each)[0]) for each in chosen]
