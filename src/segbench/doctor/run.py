"""Reading a data set as far as it goes, and asking every check about it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

from segbench.config.run import SplitConfig
from segbench.data.facts.store import Also, FactStore
from segbench.data.files.folders import existing_folder
from segbench.data.files.hints import give, set_option, yaml_value
from segbench.data.files.images import image_facts
from segbench.data.formats import FORMATS, Entry, Listing, check_format
from segbench.data.formats.detect import Candidate, Detection, detect
from segbench.data.formats.shared.guess import guess_classes
from segbench.data.formats.shared.listing import DEFECTS
from segbench.data.formats.shared.unpacked import telling
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_survey
from segbench.data.manifest.sample import foreground_frac, relative_name
from segbench.data.sources.source import Survey
from segbench.data.sources.table import source_of, survey_of
from segbench.data.split.divide import split_manifest
from segbench.doctor import reading_codes as codes
from segbench.doctor.checks import CHECKS, Check
from segbench.doctor.checks.objects import measure_objects, while_decoding, while_detecting
from segbench.doctor.checks.values import no_class_map
from segbench.doctor.finding import Checkup, Finding, sort_findings
from segbench.doctor.reading import Case, Reading, Remembered, all_files, damaged, headers
from segbench.doctor.scale import base_size, base_split
from segbench.doctor.statistics import statistics
from segbench.doctor.suggest import choices, suggestions
from segbench.errors import ConfigError, DatasetError, SegbenchError
from segbench.locale import join, listed, message, plural, quoted
from segbench.types import ClassMap, Progress, Sample

_HEADERS = 64  # images whose size is looked at for the usual training size
# Options by which a reader leaves out what it cannot use, so that the rest is looked at.
TOLERANT = {"unpaired": "skip", "defects": "skip", "include_unlisted": True}


@dataclass
class _Read:
    """How far the reading went."""

    root: Path
    format: str
    options: dict[str, Any]
    why: str
    question: str = ""  # why it cannot be read as it is; many such folders can be looked at all the same
    findings: list[Finding] = field(default_factory=list)
    listing: Listing | None = None

    @property
    def files_root(self) -> Path:
        """Where the files lie that the reader lists."""
        return (self.listing.root if self.listing is not None else None) or self.root


def examine(
    path: str | Path,
    format: str | None = None,  # noqa: A002  # the config's word
    *,
    options: Mapping[str, Any] | None = None,
    fast: bool = False,
    image_size: tuple[int, int] | None = None,
    split: SplitConfig | None = None,
    progress: Progress | None = None,
) -> Checkup:
    """Returns everything that is wrong with a data set's folder, and its numbers; a broken set is no reason to stop.

    What is found of each file is remembered, so that a second look is quick.

    Args:
        path: the folder.
        format, options: reader and its options; None recognises them.
        fast: read headers and masks, but neither decode images nor look at objects and shapes.
        image_size: (H, W) of training, at which objects have to survive; None takes what a config begins with.
        split: how the data set would be divided; None looks at its published parts.
        progress: called while files are read.
    Raises:
        DatasetError: there is no such folder.
        ConfigError: an unknown format or option.
    """
    started = time.perf_counter()
    with telling(progress):
        also = None if fast else partial(_measure, image_size=image_size)
        found = detect(path, options or {}, also=also) if format is None else None
        root = found.root if found is not None else existing_folder(path)
        read = _chosen(root, found, format, dict(options or {}))
        _list(read)
    store = FactStore(read.files_root)
    reading = _look(read, store, fast, image_size, progress)
    reading.given = dict(options or {})
    published = reading.cases
    reading = _divided(read, reading, split)
    reading.objects = None if fast else measure_objects(reading, progress)
    checks = {name: check for name, check in CHECKS.items() if not (fast and check.slow)}
    findings = [*read.findings, *ask(reading, checks)]
    if read.files_root != root:  # nobody mends a copy in the cache
        findings = [replace(finding, fixes=()) for finding in findings]
    stats = statistics(reading, reading.objects)
    parts = Counter(case.split for case in reading.cases)
    reading.cases = published  # what is suggested starts from the data set as it is
    unsaved = store.save()
    if unsaved is not None:
        findings.append(codes.NOT_REMEMBERED.finding(count=1, detail=quoted(unsaved)))
    return Checkup(
        root=root,
        files_root=None if read.files_root == root else read.files_root,
        format=read.format,
        options=read.options,
        why=read.why,
        class_map=reading.class_map,
        samples=int(reading.decoded.sum()),
        parts={str(part or "-"): count for part, count in parts.items()},
        findings=sort_findings(findings),
        statistics=stats,
        suggestions=tuple(suggestions(reading, stats, reading.objects)),
        choices=tuple(choices(reading)),
        seconds=time.perf_counter() - started,
    )


def examine_manifest(manifest: Manifest, *, progress: Progress | None = None) -> Checkup:
    """Returns what `examine` says about a data set that was read, as its training begins: at the usual size, with the
    parts that will be drawn.
    """
    split = base_split(Counter(sample.split for sample in manifest.samples))
    return examine(
        manifest.folder,
        manifest.format,
        options=manifest.options,
        image_size=base_size([s.height for s in manifest.samples], [s.width for s in manifest.samples]),
        split=SplitConfig.model_validate(split) if split else None,
        progress=progress,
    )


def fast_findings(manifest: Manifest) -> tuple[Finding, ...]:
    """Returns what a divided data set shows without opening a file: copies and groups across parts, missing classes.

    It looks at what was remembered when the data set was read; files that nobody has read since they changed are left
    out.
    """
    store = Remembered(manifest.root)
    root = manifest.root
    cases = tuple(_case_of(sample, manifest) for sample in manifest.samples)
    images, _ = store.images([case.image for case in cases], depth_range=manifest.depth_range, decode=False)
    masks, _ = store.masks([path for case in cases for path in case.mask_files])
    reading = Reading(
        root=root,
        format=manifest.format,
        cases=cases,
        images=images,
        masks=masks,
        class_map=manifest.class_map,
        tolerance=manifest.tolerance,
        store=store,
    )
    of_drawings = {case.id for case in cases if case.source is not None}
    reading.drawn = store.drawn({s.id: s.mask_hash for s in manifest.samples if s.id in of_drawings})
    return sort_findings(ask(reading, {name: check for name, check in CHECKS.items() if check.early}))


def ask(reading: Reading, checks: Mapping[str, Check]) -> list[Finding]:
    """Returns what the checks find; one that fails says so, and the others go on."""
    findings: list[Finding] = []
    for name, check in checks.items():
        try:
            findings += check(reading)
        except Exception as error:  # noqa: BLE001  # whatever a strange file does to one check, the others go on
            reason = str(error) if isinstance(error, SegbenchError) else f"{type(error).__name__}: {error}"
            findings.append(codes.CHECK_FAILED.finding(count=1, check=name, detail=quoted(reason)))
    return findings


def _chosen(root: Path, found: Detection | None, name: str | None, options: dict[str, Any]) -> _Read:
    """Returns how to read the folder; where there are several ways, the one with most classes, which is said."""
    if found is None:
        assert name is not None, "one of both is known"
        check_format(name, options)
        return _Read(root, name, options, message("as told"))
    usable = [candidate for candidate in found.candidates if not candidate.trouble]
    best = found.best or max(usable, key=lambda one: (len(one.classes), one.samples), default=None)
    if best is None:
        best = next(iter(found.candidates), Candidate(format="", options=options))
        read = _Read(root, best.format, dict(best.options), best.reason, question=found.question())
        if found.nested:
            read.findings.append(_unreadable(read.question, found.nested))
        return read
    read = _Read(root, best.format, dict(best.options), best.reason)
    if len(usable) > 1:
        read.findings.append(
            codes.SEVERAL_WAYS.finding(
                count=len(usable),
                detail=join(
                    "; ",
                    [
                        plural(
                            "{format}: {reason} ({n} class)",
                            "{format}: {reason} ({n} classes)",
                            format=way.format,
                            reason=way.reason,
                            n=len(way.classes),
                        )
                        for way in usable
                    ],
                ),
                advice=message("choose with {options}", options=reduce(_or, [_given(way, usable) for way in usable])),
            )
        )
    if best.guesses:
        given = [set_option(key, yaml_value(value)) for key, value in best.options.items()]
        read.findings.append(
            codes.GUESSED.finding(
                count=len(best.guesses),
                detail=join("; ", best.guesses),
                advice=message("check it, and say it: {options}", options=join(", ", given)),
            )
        )
    return read


def _or(one: str, other: str) -> str:
    return message("{one} or {other}", one=one, other=other)


def _given(candidate: Candidate, others: Sequence[Candidate]) -> str:
    """Returns what has to be written on the command line to read a folder this way, and not as the others say."""
    format_name = candidate.format if len({other.format for other in others}) > 1 else ""
    return give(
        format_name,
        {
            key: value
            for key, value in candidate.options.items()
            if any(other.options.get(key) != value for other in others)
        },
    )


def _unreadable(reason: str, nested: Sequence[Path] = ()) -> Finding:
    code = codes.SEVERAL_DATA_SETS if nested else codes.CANNOT_BE_READ
    return code.finding(count=max(1, len(nested)), detail=quoted(reason))


def _list(read: _Read) -> None:
    """Asks the reader, with what is wrong left out where it knows how; what it refuses becomes a finding."""
    if any(finding.code == "several_data_sets" for finding in read.findings):
        return
    if not read.format:
        read.findings.append(_unreadable(read.question))
        return
    try:
        read.listing = tolerant_listing(read.format, read.root, read.options)
    except (DatasetError, ConfigError) as error:
        read.findings.append(_unreadable(read.question or str(error)))
        return
    if not read.listing.entries:
        read.findings.append(
            _unreadable(message("the reader {reader!r} found no image with a mask", reader=read.format))
        )
    told = {DEFECTS.get(defect.code, defect.code) for defect in read.listing.defects}  # findings of their own
    notes = [note for note in read.listing.notes if not any(what in note for what in told)]
    if notes:
        read.findings.append(
            codes.READER_NOTES.finding(
                count=len(notes), reader=read.format, detail=join("; ", [quoted(note) for note in notes])
            )
        )


def _look(
    read: _Read, store: FactStore, fast: bool, image_size: tuple[int, int] | None, progress: Progress | None
) -> Reading:
    """Returns what the files of a listing hold."""
    listing = read.listing
    if listing is None or listing.root is None:
        entries = () if listing is None else listing.entries
        files = all_files(read.root, (path for entry in entries for path in (entry.image, *entry.masks)))
    else:
        files = _unpacked(listing)
    if listing is None or not listing.entries:
        reading = Reading(root=read.files_root, format=read.format, files=files, store=store, image_size=image_size)
        reading.problems = damaged(files, store, fast, progress)
        return reading
    image_size = image_size or _usual_size(listing)
    survey = survey_of(listing, read.files_root, store)
    store.also = None if fast or not survey.of_files else while_decoding(listing, store, image_size)
    survey.look(images=not fast, masks=survey.of_files or not fast, progress=progress)
    if not survey.of_files:
        read.findings += _read_by_windows(survey)
        return Reading(root=read.files_root, format=read.format, files=files, store=store, image_size=image_size)
    if fast:
        read.findings.append(codes.FAST_LOOK.finding(count=1))
    read.findings += _undrawn(survey.undrawn)
    reading = Reading(
        root=read.files_root,
        format=read.format,
        cases=tuple(sorted((case_of_entry(entry) for entry in listing.entries), key=lambda case: case.id)),
        images=headers(survey.images, store, progress) if fast else survey.images,
        masks=survey.masks,
        drawn=survey.drawn,
        problems=survey.problems,
        tolerance=listing.tolerance,
        listing=listing,
        paintings=survey.paintings,
        files=files,
        store=store,
        image_size=image_size,
    )
    reading.class_map = _class_map(read, reading, survey)
    return reading


def _measure(listing: Listing, store: FactStore, image_size: tuple[int, int] | None) -> Also | None:
    """Returns how objects are measured in the masks that `detect` looks at, at the size that the check will take."""
    return while_detecting(listing, store, image_size or _usual_size(listing))


def _usual_size(listing: Listing) -> tuple[int, int] | None:
    """Returns the training size to begin with, by the headers of some images spread over the data set."""
    step = max(1, len(listing.entries) // _HEADERS)
    sizes = []
    for entry in listing.entries[::step]:
        with contextlib.suppress(DatasetError):  # whoever reads it says why it cannot be read
            facts = image_facts(entry.image)
            sizes.append((facts.height, facts.width))
    return base_size([height for height, _ in sizes], [width for _, width in sizes]) if sizes else None


def _unpacked(listing: Listing) -> list[Path]:
    """Returns the files of a copy in the cache that are listed: what else lies there is nobody's mistake."""
    return sorted({path for entry in listing.entries for path in (entry.image, *entry.masks)})


def _read_by_windows(survey: Survey) -> list[Finding]:
    """Returns what is wrong in files that are read by windows; the other checks are made for whole images."""
    try:
        _, samples, notes = read_survey(survey)
    except DatasetError as error:
        return [_unreadable(error.reason)]
    return [codes.READ_BY_WINDOWS.finding(count=len(samples), detail=join("; ", [quoted(note) for note in notes]))]


def _undrawn(reasons: Sequence[str]) -> list[Finding]:
    return (
        [codes.CANNOT_BE_DRAWN.finding(count=len(reasons), detail=listed([quoted(reason) for reason in reasons], 6))]
        if reasons
        else []
    )


def _class_map(read: _Read, reading: Reading, survey: Survey) -> ClassMap | None:
    """Returns the class map; where the masks' values make none, a finding and the one that fits them best."""
    try:
        return survey.class_map()
    except (DatasetError, ConfigError) as error:
        extra, told = (
            guess_classes(survey.masks, rule=survey.listing.class_map) if read.format == "folder" else ({}, [])
        )
        extra = {} if set(extra) & set(read.options) else extra
        proposal = (
            message("{guess}: data.options: {options}", guess=join("; ", told), options=yaml_value(extra))
            if extra
            else ""
        )
        read.findings.append(no_class_map(reading, error.reason, proposal))
    if not extra:
        return None
    try:
        guessed: Listing = FORMATS.get(read.format)(read.root, **{**read.options, **extra, "unpaired": "skip"})
        assert not isinstance(guessed.class_map, ClassMap), "the folder reader derives it"
        reading.tolerance = guessed.tolerance
        return guessed.class_map(survey.masks)
    except (DatasetError, ConfigError):
        return None  # the finding above says what the values are


def tolerant_listing(format: str, root: Path, options: Mapping[str, Any]) -> Listing:  # noqa: A002  # the config's word
    """Returns what a reader finds, without what is wrong where it knows how to leave that out; it may still refuse."""
    known = FORMATS.options(format)
    listing: Listing = FORMATS.get(format)(
        root, **{key: value for key, value in TOLERANT.items() if key in known} | dict(options)
    )
    return listing


def case_of_entry(entry: Entry) -> Case:
    """Returns an entry of a listing as the checks see it."""
    return Case(
        id=entry.id,
        image=entry.image,
        masks=entry.planes,
        source=None if entry.drawing is None else entry.drawing.source,
        group=entry.group,
        split=entry.split,
    )


def _case_of(sample: Sample, manifest: Manifest) -> Case:
    masks = source_of(manifest, sample).mask_files(manifest, sample)
    return Case(
        id=sample.id,
        image=manifest.image_path(sample),
        masks=masks,
        source=None if masks else manifest.root / str(sample.mask),
        group=sample.group,
        split=sample.split,
    )


def _classes_of(reading: Reading) -> dict[str, set[int]]:
    """Returns sample id -> classes in its mask, as far as it was read."""
    return {
        case.id: set(np.flatnonzero(reading.counts[row][:-1] > 0).tolist())
        for row, case in enumerate(reading.cases)
        if reading.decoded[row]
    }


def _divided(read: _Read, reading: Reading, split: SplitConfig | None) -> Reading:
    """Returns the reading with the parts that `split` would draw; where it cannot, that becomes a finding.

    Args:
        split: None tries what `segbench config new` would write, and leaves the parts as they are.
    """
    if reading.class_map is None or not reading.decoded.any():
        return reading
    try:
        rows = np.flatnonzero(reading.decoded).tolist()
        samples = tuple(_sample(reading, row) for row in rows if reading.cases[row].image in reading.images)
        if not samples:
            return reading  # no image can be read, which has been told
        manifest = Manifest(
            root=reading.root,
            format=read.format,
            options=read.options,
            class_map=reading.class_map,
            samples=samples,
        )
        usual = SplitConfig.model_validate(base_split(Counter(sample.split for sample in samples)))
        divided = split_manifest(manifest, split or usual, presence=_classes_of(reading))
        parts = {sample.id: sample.split for sample in divided.samples}
    except (DatasetError, ConfigError) as error:
        read.findings.append(
            codes.CANNOT_BE_SPLIT.finding(
                count=1,
                otherwise=split is not None,
                detail=quoted(error.reason),
                advice=None if split is None else message("change data.split"),
            )
        )
        return reading
    if split is not None:
        reading.cases = tuple(replace(case, split=parts.get(case.id)) for case in reading.cases)
    return reading


def _sample(reading: Reading, row: int) -> Sample:
    case, class_map = reading.cases[row], reading.known_map
    image = reading.images[case.image]
    *pixels, ignored = reading.counts[row].tolist()
    counted = {**dict(enumerate(pixels)), class_map.ignore_index: ignored}
    return Sample(
        id=case.id,
        image=relative_name(case.image, reading.root),
        mask=reading.name(reading.label_file(case)),
        height=image.height,
        width=image.width,
        image_hash=image.sha256,
        mask_hash=next((fact.sha256 for _, fact in reading.facts(case)), ""),
        group=case.group,
        split=case.split,
        foreground_frac=foreground_frac(counted, class_map),
    )
