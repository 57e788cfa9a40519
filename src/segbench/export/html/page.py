"""The page: one HTML file with the network, its runtime and everything around them; it needs no server.

What a browser does with an image stands in `js/`; each file says which Python it repeats.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from PIL import Image

from segbench.errors import PredictionError
from segbench.export.html.about import About
from segbench.export.html.texts import TEXTS
from segbench.export.html.vendor import library_text, runtime_gz
from segbench.export.packages import needed
from segbench.locale import localize, message
from segbench.models.base import MIN_SIZE_PX
from segbench.predict.averaging import FlipAverage
from segbench.predict.onnx_network import write_network_onnx
from segbench.predict.pipeline import Pipeline, PipelineSettings
from segbench.predict.predictor import Predictor
from segbench.predict.sizes import AT_ONCE_PX, LARGER
from segbench.predict.tiles import exact_cut
from segbench.predict.unlike import MUCH_LARGER, MUCH_SMALLER, TOGETHER, reason_words
from segbench.types import ORIGINAL, SizePolicy, Task

MOST_SAMPLES = 4
_TILE_PX = 768  # side of exact tiles: small enough for a browser's memory, and for progress to be seen
_SAMPLE_PX, _SAMPLE_QUALITY = 1024, 92
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
_POLICY = (
    "default-src 'none'; script-src '{script}' 'wasm-unsafe-eval'; style-src '{style}'; img-src data:; "
    "worker-src blob:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, kw_only=True)
class SampleImage:
    """An image that a reader may try. Attributes: name; pixels, (H, W, 3) uint8."""

    name: str
    pixels: np.ndarray


def page_text(
    predictor: Predictor,
    *,
    about: About,
    card: Mapping[str, Any] | None = None,
    samples: Sequence[SampleImage] = (),
    lang: str = "en",
) -> str:
    """Returns the page as HTML.

    Args:
        predictor: whose network, sizes, threshold and averaging the page takes over.
        about: what is said about the model.
        card: of its bundle, for what to expect of an image and whether it is unlike those of training; None: not said.
        samples: images that lie in the page for everybody who has it, `MOST_SAMPLES` at most; they are drawn anew as
            JPEG without the file's other data, and cut to `_SAMPLE_PX` a side.
        lang: one of `segbench.locale.languages()`.
    Raises:
        PredictionError: the network reads other channels than RGB, or the package `onnx` is missing.
    """
    settings = predictor.pipeline.settings
    _check(settings)
    shown = [{"name": each.name, "data": _jpeg(each.pixels)} for each in samples[:MOST_SAMPLES]]
    texts, about = localize(TEXTS, lang), localize(about, lang)
    told = localize(page_settings(predictor, card or {}), lang)
    plain = {"lang": lang, "texts": texts, "settings": told, "samples": shown}
    script, style = Markup(_script("app.js")), Markup(_own("page.css"))
    binary = {"library": library_text().encode(), "network": _network(predictor)}
    page = _environment().get_template("page.html")
    return page.render(
        policy=Markup(_POLICY.format(script=_hash(script), style=_hash(style))),
        lang=lang,
        title=about.title,
        texts=texts,
        about=about,
        samples=shown,
        classes=told["classes"],
        background=settings.class_map.background,
        policies=[(each, texts[each]) for each in _policies(settings)],
        threshold=None if settings.class_map.task is Task.MULTICLASS else settings.threshold,
        settings=Markup(json.dumps(plain, ensure_ascii=False).replace("<", "\\u003c")),
        script=script,
        style=style,
        worker=Markup("{\n" + _script("worker.js") + "}\n"),  # a block: no name of the library is taken
        runtime=Markup(base64.b64encode(runtime_gz()).decode()),
        **{name: Markup(base64.b64encode(gzip.compress(data, mtime=0)).decode()) for name, data in binary.items()},
    )


def page_settings(predictor: Predictor, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the page's code is told about the network, as JSON."""
    settings, normalization = predictor.pipeline.settings, predictor.normalization
    classes = settings.class_map
    return {
        "task": str(classes.task),
        "classes": [
            {"name": name, "colour": list(colour)} for name, colour in zip(classes.names, classes.colors, strict=True)
        ],
        "background": classes.background,
        "size": settings.size if isinstance(settings.size, str) else list(settings.size),
        "patch": None if settings.patch is None else list(settings.patch),
        "policy": settings.policy,
        "training_px": None if settings.training_px is None else list(settings.training_px),
        "larger": LARGER,
        "at_once_px": AT_ONCE_PX,
        "min_size_px": MIN_SIZE_PX,
        "exact": _exact(predictor.pipeline),
        "normalization": {"mean": list(normalization.mean), "std": list(normalization.std)},
        "threshold": settings.threshold,
        "postprocess": settings.postprocess.to_dict(),
        "scored": list(classes.scored_classes),
        "expected": (card.get("calibration") or {}).get("expected_score"),
        "unlike": _unlike((card.get("data") or {}).get("image_statistics")),
        "depth_range": None if settings.depth_range is None else list(settings.depth_range),
    }


def _unlike(known: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns the statistics of the training part, with words for what an image has more or less of."""
    if not known:
        return None
    return {
        **known,
        "more": [reason_words(name, more=True) for name in known["names"]],
        "less": [reason_words(name, more=False) for name in known["names"]],
        "much_larger": MUCH_LARGER,
        "much_smaller": MUCH_SMALLER,
        "together": TOGETHER,
    }


def _policies(settings: PipelineSettings) -> tuple[SizePolicy, ...]:
    """Returns what a reader may choose instead of what the network was trained like."""
    if settings.size == ORIGINAL:
        return ("whole", "tiles") if settings.training_px is None else ("whole", "tiles", "resize")
    return ("tiles",) if settings.training_px is not None else ()


def _exact(pipeline: Pipeline) -> dict[str, Any] | None:
    """Returns the tiles that give what the whole image gives; None: tiles are blended."""
    found = None if pipeline.settings.patch is not None else exact_cut(pipeline.reach)
    if found is None or found.halo_px is None or not found.pads:
        return None
    core = (_TILE_PX - 2 * found.halo_px) // found.stride_px * found.stride_px
    side = core + 2 * found.halo_px if core >= found.halo_px else found.tile[0]
    return {
        "tile": [min(side, each) for each in found.tile],
        "halo_px": found.halo_px,
        "stride_px": found.stride_px,
        "smallest_px": found.smallest_px,
    }


def _check(settings: PipelineSettings) -> None:
    if settings.bands is not None:
        raise PredictionError(
            message("a browser opens RGB and grey images, and this network reads bands of files; export it as onnx")
        )


def _network(predictor: Predictor) -> bytes:
    needed("onnx")
    stream = io.BytesIO()
    settings = predictor.pipeline.settings
    looks = FlipAverage(predictor.network, settings.class_map.task, settings.tta)
    write_network_onnx(looks.eval(), stream, channels=settings.channels)
    return stream.getvalue()


def _jpeg(pixels: np.ndarray) -> str:
    """Returns the middle of an image as JPEG, base64: cut, not shrunk, since a network may look at the scale."""
    top, left = (max(0, (side - _SAMPLE_PX) // 2) for side in pixels.shape[:2])
    picture = Image.fromarray(np.ascontiguousarray(pixels[top : top + _SAMPLE_PX, left : left + _SAMPLE_PX]))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_SAMPLE_QUALITY)
    return base64.b64encode(stream.getvalue()).decode()


def _script(entry: str) -> str:
    """Returns the modules that one needs, and itself, as one module."""
    parts: dict[str, str] = {}

    def collect(name: str) -> None:
        if name in parts:
            return
        text = _own(f"js/{name}")
        for other in _IMPORT.findall(text):
            collect(other)
        parts[name] = re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.MULTILINE)

    collect(entry)
    joined = "\n".join(parts.values())
    assert "</" not in joined, "it would end the element that it stands in"
    return joined


def _own(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=select_autoescape(default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
