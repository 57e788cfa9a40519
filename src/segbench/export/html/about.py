"""What the page says about its model: its scores and what they mean, what it learnt from, and where that ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from segbench import __version__
from segbench.locale import Numbers, join, message, plural
from segbench.metrics.families import label_of
from segbench.predict.pipeline import PipelineSettings
from segbench.types import ORIGINAL


@dataclass(frozen=True, kw_only=True)
class About:
    """Words about a model.

    Attributes:
        title: of the page.
        paragraphs: what the scores are and mean, and what they do not say.
        rows: names and values.
        foot: the last line.
    """

    title: str
    paragraphs: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    foot: str


def about_model(card: Mapping[str, Any], settings: PipelineSettings, *, name: str = "") -> About:
    """Returns what a card says, for people.

    Args:
        card: of a bundle, see `segbench.bundle.card`; what it lacks is left out.
        settings: of the model.
        name: of the model; empty: the card's.
    """
    return About(
        title=message("Try it: {name}", name=name or card.get("name", "segbench")),
        paragraphs=tuple(_paragraphs(card)),
        rows=tuple(_rows(card, settings)),
        foot=message("Made by segbench {version}; runs on onnxruntime-web (MIT licence).", version=__version__),
    )


def _paragraphs(card: Mapping[str, Any]) -> Iterator[str]:
    main, learnt = card.get("main"), _images(card, "train")
    if main is not None:
        told = {
            "score": label_of(main["name"]),
            "value": _score(main["value"]),
            "images": plural("{n:,} image", "{n:,} images", n=main["n_images"]),
            "part": _PARTS[main["split"]],
        }
        if main.get("low") is None:
            yield message("{score} {value} on {images} of the {part} part.", **told)
        else:
            low, high = _score(main["low"]), _score(main["high"])
            yield message(
                "{score} {value} on {images} of the {part} part, 95 % interval {low} to {high}.",
                low=low,
                high=high,
                **told,
            )
        definition = card.get("definitions", {}).get(main["name"])
        if definition:
            yield definition
    if learnt is not None:
        yield message(
            "The network learnt from {images}. How good it is on yours the score only says if yours are like them: of "
            "the same subject, made in the same way. On others look at every mask yourself.",
            images=plural("{n:,} image", "{n:,} images", n=learnt),
        )


def _score(value: float | None) -> str:
    return Numbers().score(math.nan if value is None else value)


_PARTS = {"train": message("training"), "val": message("validation"), "test": message("test")}


def _images(card: Mapping[str, Any], part: str) -> int | None:
    counts = card.get("data", {}).get("parts", {}).get(part) or {}
    images: int | None = counts.get("images", card.get("n", {}).get(part))
    return images


def _rows(card: Mapping[str, Any], settings: PipelineSettings) -> Iterator[tuple[str, str]]:
    yield message("Classes"), join(", ", settings.class_map.names)
    network = card.get("config", {}).get("network", {})
    if network:
        yield message("Network"), network["name"] if isinstance(network, Mapping) else str(network)
    members = card.get("members", ())
    if len(members) > 1:
        yield message("Averaged networks"), str(len(members))
    if settings.size != ORIGINAL:
        height, width = settings.size
        seen = message("{height} x {width} pixels (height x width)", height=height, width=width)
        yield message("Size of training"), seen
    parts = [
        message("{part} {n:,}", part=_PARTS[part], n=images)
        for part in _PARTS
        if (images := _images(card, part)) is not None
    ]
    if parts:
        yield message("Images"), join(", ", parts)
    if "test_uses" in card:
        used = plural("scored on it {n} time", "scored on it {n} times", n=card["test_uses"])
        yield message("Test part"), used
    licence = card.get("data", {}).get("licence")
    if licence:
        yield message("Data"), join(": ", (licence["set"], licence["licence"]))
    weights = [each for each in card.get("licences", {}).get("starting_weights", ()) if each.get("license")]
    if weights:
        told = join(", ", (join(": ", (each["source"], each["license"])) for each in weights))
        yield message("Starting weights"), told
