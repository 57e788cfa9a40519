"""Samples whose masks are drawn from the shapes of an annotation file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segbench.data.facts.counting import mask_pixels
from segbench.data.facts.store import FactStore, MaskFact, Problem
from segbench.data.files.hints import set_option
from segbench.data.files.resize import U8
from segbench.data.formats import FORMATS, Entry, Listing
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.sample import CHANGED, foreground_frac, relative_name, shared_groups, size_text
from segbench.data.shapes.drawing import Drawing, Painting, paint
from segbench.data.shapes.store import DrawingStore
from segbench.data.sources.image_file import ImageFileSource, ImageFileSurvey
from segbench.errors import DatasetError, shorten
from segbench.locale import message, plural, quoted
from segbench.types import ClassMap, Progress, Sample


class Shapes(ImageFileSource):
    """An image file, and shapes of an annotation file that are drawn."""

    def holds(self, manifest: Manifest, sample: Sample) -> bool:
        """Returns whether the sample names a place in an annotation file."""
        return bool(sample.mask_key)

    def survey(self, listing: Listing, root: Path, store: FactStore) -> ShapesSurvey | None:
        """Returns how to read a listing of drawings."""
        drawn = all(entry.drawing is not None for entry in listing.entries)
        return ShapesSurvey(listing, root, store) if drawn else None

    def read_labels(self, manifest: Manifest, sample: Sample) -> U8:
        """Returns the drawn labels, (H, W) class indices or multilabel (C, H, W).

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

    def changed(self, manifest: Manifest, samples: Sequence[Sample]) -> list[str]:
        """Returns the images that changed, then "file, key" of each drawing that did; annotations are read once."""
        now = _read_again(manifest)
        return [
            *super().changed(manifest, samples),
            *(f"{sample.mask}, {sample.mask_key}" for sample in samples if sample.mask_hash not in now),
        ]

    def class_pixels(
        self, manifest: Manifest, samples: Sequence[Sample], store: FactStore, progress: Progress | None = None
    ) -> dict[str, dict[int, int]]:
        """Returns id -> pixels a class index of the samples whose shapes are remembered; see `Source.class_pixels`."""
        known = DrawingStore(manifest.root)
        paintings = {sample.id: known.get(sample.mask_hash) for sample in samples}
        facts, _ = store.drawings({name: found for name, found in paintings.items() if found is not None})
        return {name: mask_pixels(fact, manifest.class_map) or {} for name, fact in facts.items()}

    def mask_files(self, manifest: Manifest, sample: Sample) -> tuple[Path | None, ...]:
        """Returns (): the mask is drawn."""
        return ()


class ShapesSurvey(ImageFileSurvey):
    """A listing of drawings."""

    paintings: dict[str, Painting]
    drawn: dict[str, MaskFact]
    counted = False

    def __init__(self, listing: Listing, root: Path, store: FactStore) -> None:
        super().__init__(listing, root, store)
        self._unfit: list[Problem] = []

    @property
    def refused(self) -> Sequence[Problem]:
        """See `Survey.refused`; where nothing would be left, all problems are."""
        if self.listing.skip_undrawn and len(self._unfit) < len(self.listing.entries):
            return [problem for problem in self.problems if problem not in self._unfit]
        return self.problems

    def look(self, *, images: bool, masks: bool, progress: Progress | None) -> None:
        """Finds what images hold, what is to be drawn, and with `masks` draws it once; see `Survey.look`."""
        super().look(images=images, masks=masks, progress=progress)
        places = {entry.id: entry.drawing for entry in self.listing.entries if entry.drawing is not None}
        for entry in self.listing.entries:
            drawing, image = entry.drawing, self.images.get(entry.image)
            if drawing is None or image is None:
                continue
            size = (image.height, image.width)
            annotated = (drawing.height or size[0], drawing.width or size[1])
            if annotated != size:
                self._tell(drawing, size_text(*size, *annotated).replace("the mask is", "it was annotated at"))
                continue
            assert self.listing.painter is not None, "a listing with drawings says how to draw them"
            try:
                self.paintings[entry.id] = self.listing.painter(drawing, size)
            except DatasetError as error:
                self._tell(drawing, error.reason)
        self.counted = masks
        if not masks:
            return
        self.drawn, failed = self.store.drawings(self.paintings, progress=progress)
        for name, reason in failed:
            self._tell(places[name], reason)

    def _tell(self, drawing: Drawing, reason: str) -> None:
        """Remembers why the shapes of an image cannot be drawn."""
        text = message("{key}: {reason}", key=drawing.key, reason=quoted(reason))
        self.undrawn.append(text)
        advice = message(
            "{text}; mend it, or leave such images out with {option}", text=text, option=set_option("defects", "skip")
        )
        problem = (drawing.source, text if self.listing.skip_undrawn else advice)
        self.problems.append(problem)
        self._unfit.append(problem)

    def keep(self) -> str | None:
        """Stores what to draw, so that samples are drawn without their annotation files; returns why not, or None."""
        if not self.paintings:
            return None
        try:
            DrawingStore(self.root).add(self.paintings.values())
        except OSError as error:
            return f"the shapes could not be remembered ({error}); set SEGBENCH_CACHE to a folder that can be written"
        return None

    def sample(self, entry: Entry, class_map: ClassMap) -> Sample | None:
        """Returns the entry as a sample; None where it cannot be drawn (the reason is among the problems)."""
        painting, fact, drawing = self.paintings.get(entry.id), self.drawn.get(entry.id), entry.drawing
        if painting is None or drawing is None or (self.counted and fact is None):
            return None
        image = self.images[entry.image]
        counted = mask_pixels(fact, class_map) if fact is not None else None
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

    def notes(self, class_map: ClassMap) -> list[str]:
        """Returns notes on images, groups, images turned for display, and pixels that shapes of two classes share."""
        entries = [entry for entry in self.listing.entries if entry.id in self.paintings]
        turned = sorted(entry.id for entry in entries if self.images[entry.image].orientation != 1)
        oriented = [
            plural(
                "{n} image has an EXIF orientation; its shapes are taken as drawn on the upright picture, as browsers "
                "show it: look at {names} with `segbench data show`",
                "{n} images have an EXIF orientation; their shapes are taken as drawn on the upright picture, as "
                "browsers show it: look at {names} with `segbench data show`",
                n=len(turned),
                names=shorten(turned, 4),
            )
        ]
        groups = shared_groups(self.listing.entries)
        left = [
            plural(
                "{n} image was left out, since its shapes do not fit: {names}",
                "{n} images were left out, since their shapes do not fit: {names}",
                n=len(self._unfit),
                names=shorten(self.undrawn, 3),
            )
        ]
        return [
            *(left if self._unfit else []),
            *self.image_notes(),
            *groups,
            *(oriented if turned else []),
            *self._overlaps(),
        ]

    def _overlaps(self) -> list[str]:
        shared = {name: fact.shared for name, fact in self.drawn.items() if fact.shared}
        if not shared:
            return []
        pixels = sum(fact.height * fact.width for fact in self.drawn.values())
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


def _read_again(manifest: Manifest) -> dict[str, Painting]:
    """Returns hash -> painting of what the annotation files hold now, and stores it."""
    listing: Listing = FORMATS.get(manifest.format)(manifest.root, **manifest.options)
    sizes = {sample.id: (sample.height, sample.width) for sample in manifest.samples}
    paintings = [
        listing.painter(entry.drawing, sizes[entry.id])
        for entry in listing.entries
        if entry.drawing is not None and entry.id in sizes and listing.painter is not None
    ]
    found = {painting.sha256: painting for painting in paintings}
    try:
        DrawingStore(manifest.root).add(paintings)
    except OSError:
        return found  # it only would have been quicker the next time
    return found
