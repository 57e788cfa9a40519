"""Samples whose masks are drawn from the shapes of an annotation file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.facts.store import FactStore, ImageFact, MaskFact, Problem
from segbench.data.files.hints import set_option
from segbench.data.formats import FORMATS, Entry, Listing
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import CHANGED, foreground_frac, relative_name, size_text
from segbench.data.shapes.drawing import Drawing, Painting, paint
from segbench.data.shapes.store import DrawingStore
from segbench.errors import DatasetError, shorten
from segbench.types import ClassMap, Progress, Sample


@dataclass
class Drawn:
    """What is to be drawn for the entries of a listing, by id, and what it holds once it has been drawn."""

    root: Path
    paintings: dict[str, Painting]
    images: dict[str, ImageFact]
    facts: dict[str, MaskFact] = field(default_factory=dict)
    places: dict[str, tuple[Path, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, listing: Listing, images: Mapping[Path, ImageFact], root: Path, problems: list[Problem]) -> Drawn:
        """Returns what to draw for each entry whose image is readable, and adds what does not fit to `problems`."""
        drawn = cls(root, {}, {})
        for entry in listing.entries:
            image = images.get(entry.image)
            if not isinstance(entry.mask, Drawing) or image is None:
                continue
            assert listing.painter is not None, "a listing with drawings says how to draw them"
            drawing, size = entry.mask, (image.height, image.width)
            told = (drawing.height or size[0], drawing.width or size[1])
            if told != size:
                text = size_text(*size, *told).replace("the mask is", "it was annotated at")
                problems.append((drawing.source, f"{drawing.key}: {text}"))
                continue
            drawn.paintings[entry.id] = listing.painter(drawing, size)
            drawn.images[entry.id] = image
            drawn.places[entry.id] = (drawing.source, drawing.key)
        return drawn

    def look(self, store: FactStore, problems: list[Problem], progress: Progress | None) -> None:
        """Draws every mask once and counts its pixels; what cannot be drawn is added to `problems`."""
        self.facts, more = store.drawings(self.paintings, progress=progress)
        advice = f"mend it, or leave such shapes out with {set_option('defects', 'skip')}"
        for name, reason in more:
            source, key = self.places[name]
            problems.append((source, f"{key}: {reason}; {advice}"))

    def keep(self) -> str | None:
        """Stores what to draw, so that samples are drawn without their annotation files; returns why not, or None."""
        if not self.paintings:
            return None
        try:
            DrawingStore(self.root).add(self.paintings.values())
        except OSError as error:
            return f"the shapes could not be remembered ({error}); set SEGBENCH_CACHE to a folder that can be written"
        return None

    def sample(self, entry: Entry, drawing: Drawing, class_map: ClassMap) -> Sample | None:
        """Returns the entry as a sample; None where it cannot be drawn (the reason was told)."""
        painting, image = self.paintings.get(entry.id), self.images.get(entry.id)
        fact = self.facts.get(entry.id)
        if painting is None or image is None or (self.facts and fact is None):
            return None
        counted = {index: pixels for index, pixels in fact.counts.items() if isinstance(index, int)} if fact else {}
        return Sample(
            id=entry.id,
            image=relative_name(entry.image, self.root),
            mask=relative_name(drawing.source, self.root),
            mask_key=drawing.key or entry.id,
            height=image.height,
            width=image.width,
            image_hash=image.sha256,
            mask_hash=painting.sha256,
            group=entry.group,
            split=entry.split,
            foreground_frac=foreground_frac(counted, class_map) if counted else None,
        )

    def notes(self) -> list[str]:
        """Returns notes on pixels that shapes of different classes share, and on images that are turned for display."""
        turned = sorted(name for name, image in self.images.items() if image.orientation != 1)
        told = [
            f"{len(turned)} images have an EXIF orientation; their shapes are taken as drawn on the upright picture, "
            f"as browsers show it: look at {shorten(turned, 4)} with `segbench data show`"
        ]
        return told * bool(turned) + self._overlaps()

    def _overlaps(self) -> list[str]:
        shared = {name: fact.shared for name, fact in self.facts.items() if fact.shared}
        if not shared:
            return []
        pixels = sum(fact.height * fact.width for fact in self.facts.values())
        rule = {
            "smaller_on_top": "the smaller shape counts",
            "later_on_top": "the later shape counts",
            "class_order": "the later class counts",
        }[next(iter(self.paintings.values())).overlap]
        total = sum(shared.values())
        return [
            f"{total} pixels ({total / pixels:.2%}) in {len(shared)} images are covered by shapes of several classes; "
            f"{rule} (option overlap): {shorten(shared)}"
        ]


def draw_mask(manifest: Manifest, sample: Sample) -> NDArray[np.uint8]:
    """Returns a sample's drawn labels, (H, W) class indices or multilabel (C, H, W), uint8.

    Raises:
        DatasetError: the annotations, or a mask file that they name, are not those the manifest was made from.
    """
    painting = DrawingStore(manifest.root).get(sample.mask_hash)
    if painting is None:
        painting = _read_again(manifest).get(sample.mask_hash)
    if painting is None:
        raise DatasetError(
            CHANGED.format(f"what is annotated at {sample.mask_key}"), path=manifest.root / str(sample.mask)
        )
    labels, _ = paint(painting, manifest.root)
    return labels


def changed_drawings(manifest: Manifest) -> list[str]:
    """Returns "file, key" for each sample whose shapes are not those the manifest was made from."""
    drawn = [sample for sample in manifest.samples if sample.mask_key]
    if not drawn:
        return []
    now = _read_again(manifest)
    return [f"{sample.mask}, {sample.mask_key}" for sample in drawn if sample.mask_hash not in now]


def _read_again(manifest: Manifest) -> dict[str, Painting]:
    """Returns hash -> painting of what the annotation files hold now, and stores it."""
    listing: Listing = FORMATS.get(manifest.format)(manifest.root, **manifest.options)
    sizes = {sample.id: (sample.height, sample.width) for sample in manifest.samples}
    paintings = [
        listing.painter(entry.mask, sizes[entry.id])
        for entry in listing.entries
        if isinstance(entry.mask, Drawing) and entry.id in sizes and listing.painter is not None
    ]
    found = {painting.sha256: painting for painting in paintings}
    try:
        DrawingStore(manifest.root).add(paintings)
    except OSError:
        return found  # it only would have been quicker the next time
    return found
