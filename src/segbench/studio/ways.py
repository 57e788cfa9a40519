"""What a data set's reader asks, as choices: each is a way to read it, with the command that reads it so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segbench.config.text import parse_value
from segbench.data.facts.store import FactStore
from segbench.data.files.hints import give, options_told, yaml_value
from segbench.data.formats import FORMATS, Listing
from segbench.data.formats.detect import Candidate, detect
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_survey
from segbench.data.sources.table import survey_of
from segbench.errors import ChoiceError, SegbenchError
from segbench.locale import join, message
from segbench.speech import in_shell
from segbench.studio.pictures import picture

_SIDE = 240  # of a picture
_LOOKED_AT = 4  # samples, of which the one with most in its mask is shown


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to read a data set.

    Attributes:
        path: as a person names it: folder, archive or manifest.
        format: of the reader; None: it is recognised.
        options: of the reader.
        told: what speaks for it.
        samples, classes: number of labelled images and names, as far as they are known.
    """

    path: Path
    format: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    told: str = ""
    samples: int = 0
    classes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a person would type to open it so; no two ways have the same."""
        return " ".join(filter(None, ["segbench studio", in_shell(self.path), give(self.format or "", self.options)]))

    @property
    def given(self) -> str:
        """What is chosen, in a word or two: the options, the format, or the folder."""
        options = [f"{name}: {yaml_value(value)}" for name, value in self.options.items()]
        return ", ".join(options) or self.format or self.path.name


def ways_of(way: Way, root: Path, error: SegbenchError) -> tuple[str, list[Way]]:
    """Returns a question and its answers after reading has failed; no answers where nobody can help by choosing.

    Args:
        way: in which it was read.
        root: folder of the files; another than `way.path` for an archive.
        error: why it cannot be read.
    """
    reason = getattr(error, "reason", str(error))
    if isinstance(error, ChoiceError):
        return reason, list(_answers(way, error))
    if not root.is_dir():
        return reason, []
    try:
        found = detect(root, way.options, format=way.format)
    except SegbenchError:
        return reason, []
    usable = [candidate for candidate in found.candidates if not candidate.trouble]
    ways = [_way(way, candidate) for candidate in usable]
    if len(ways) > 1 or any(each.options != way.options for each in ways):
        also = [join(": ", [each.format, each.trouble]) for each in found.candidates if each.trouble]
        asked = message("This can be read in several ways; choose one") if len(ways) > 1 else reason
        return join("; ", [asked, *also]), ways
    if not usable and found.nested:
        told = message("This is no data set, but these folders in it are; choose one")
        return told, [Way(path=folder, told=str(folder)) for folder in found.nested]
    if not usable:
        ways = [each for candidate in found.candidates for each in _mended(way, root, candidate)]
    ways += _proposed(way, reason) if not ways else []
    return reason, list({each.command: each for each in ways if each.command != way.command}.values())


def _way(asked: Way, candidate: Candidate) -> Way:
    return replace(
        asked,
        format=candidate.format,
        options=candidate.options,
        told=join("; ", [candidate.reason, *candidate.guesses]),
        samples=candidate.samples,
        classes=candidate.classes,
    )


def _answers(way: Way, error: ChoiceError) -> Iterator[Way]:
    for value, held in error.choices.items():
        yield replace(way, options={**way.options, error.option: value}, told=held)


def _mended(way: Way, root: Path, candidate: Candidate) -> Iterator[Way]:
    """Yields what a reader asks that knows the folder and cannot read it as it is."""
    chosen = replace(way, format=candidate.format, options=candidate.options)
    try:
        FORMATS.get(candidate.format)(root, **candidate.options)
    except ChoiceError as error:
        yield from _answers(chosen, error)
        return
    except SegbenchError:
        pass  # its words are the candidate's trouble
    yield from _proposed(chosen, candidate.trouble)


def _proposed(way: Way, reason: str) -> Iterator[Way]:
    """Yields the options that a sentence tells to set."""
    for name, value in options_told(reason):
        yield replace(way, options={**way.options, name: parse_value(value)})


def picture_of(way: Way, root: Path) -> bytes | None:
    """Returns an image with its mask, read in this way, as JPEG; None where there is none to be shown so quickly."""
    try:
        name, options = way.format, dict(way.options)
        if name is None:
            best = detect(root, options).best
            if best is None:
                return None
            name, options = best.format, dict(best.options)
        listing: Listing = FORMATS.get(name)(root, **options)
        listing = replace(listing, entries=tuple(_spread(listing.entries)))
        survey = survey_of(listing, listing.root or root, FactStore(listing.root or root))
        survey.look(images=True, masks=True, progress=None)
        class_map, samples, _ = read_survey(survey)
        manifest = Manifest(
            root=listing.root or root,
            format=name,
            options=options,
            class_map=class_map,
            samples=samples,
            depth_range=listing.depth_range,
            tolerance=listing.tolerance,
            bands=listing.bands,
        )
        shown = max(samples, key=lambda each: each.foreground_frac or 0.0, default=None)
        return None if shown is None else picture(manifest, shown, "overlay", _SIDE)[0]
    except (SegbenchError, OSError, ValueError):
        return None  # the way itself says what is wrong once it is chosen


def _spread(entries: Iterable[Any]) -> list[Any]:
    every = sorted(entries, key=lambda entry: str(entry.id))
    return every[:: max(1, len(every) // _LOOKED_AT)][:_LOOKED_AT]
