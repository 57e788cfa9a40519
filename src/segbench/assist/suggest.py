"""Which images of a folder to label next, in order and with the reason in words.

Whether choosing is worth anything was measured against chance: benchmarks/results/suggest.md, docs/howto/suggest.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from segbench.assist.candidates import labelled_elsewhere, learnt_from, read_labels
from segbench.assist.choose import Chosen, choose
from segbench.assist.looks import Doubt, Look, Looker, content_key, job_of
from segbench.assist.vectors import comparable, usual_vectors
from segbench.data.facts.store import ImageFact
from segbench.data.formats.shared.pairs import check_pattern
from segbench.doctor.copies import shows_one_of
from segbench.doctor.reading import Case
from segbench.doctor.sequences import find_order
from segbench.errors import ConfigError, DatasetError, PredictionError
from segbench.locale import Message, message, plural
from segbench.predict.averaging import Ensemble
from segbench.predict.found import Job, find_images
from segbench.predict.predictor import Predictor
from segbench.speech import argument
from segbench.types import Progress

Strategy: TypeAlias = Literal["random", "diversity", "entropy", "confidence", "disagreement", "entropy+diversity"]
Placed: TypeAlias = tuple[Job, Look]
Relatives: TypeAlias = Callable[[Sequence[int]], NDArray[np.int64]]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
STUDY = message(
    "In our study (skin lesions, pets) no way of choosing was shown to beat random choice; doubt alone came out lower, "
    "though not for certain (segbench docs suggest). What is sure: none is a copy, and none is labelled already."
)
DEFAULT: Strategy = "random"  # nothing was shown to beat it, and what it labels is a fair sample: docs/howto/suggest.md


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Attributes: job, the image; score, by which it was taken, higher earlier; why, in words."""

    job: Job
    score: float
    why: Message

    @property
    def name(self) -> str:
        """The image's path below the folder, of a stack with the page."""
        below = self.job.below.as_posix()
        return below if not self.job.page else f"{below} ({message('page {n}', n=self.job.page + 1)})"


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """What to label next.

    Attributes:
        images: in order.
        strategy: by which they were chosen.
        candidates: how many images without a label there are.
        labelled: how many of the folder's images have one.
        copies: images that were passed over, since they show what is labelled or suggested already.
        failed: path -> why, of images that cannot be read.
        notes: how the folder was understood, and what else a person should know.
    """

    images: tuple[Suggestion, ...]
    strategy: Strategy
    candidates: int
    labelled: int
    copies: int
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[Message, ...] = ()


def suggest_images(
    predictor: Predictor,
    folder: str | Path,
    *,
    strategy: Strategy = DEFAULT,
    count: int = 20,
    labelled: Sequence[str | Path] = (),
    models: Sequence[str | Path] = (),
    group: str | None = None,
    seed: int = 0,
    leave_out: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Suggested:
    """Returns the images of a folder that are to be labelled next.

    Labelled images are known by their content: those of `labelled`, of the data that the runs in `models` were made
    with, and, where the folder is a labelled data set, those of its images that have a label. None of them is
    suggested, nor a copy of one, nor two copies of one image; copies may be mirrored, turned or saved anew.

    Args:
        predictor: reads the images; of several networks for `disagreement`.
        folder: images, searched with its sub-folders.
        strategy: `random`; `diversity`, farthest from what is labelled or suggested (k-center greedy on a frozen
            encoder's features); `entropy`, the largest mean doubt over the pixels; `confidence`, the least sure of
            what was found; `disagreement` of the networks (mutual information); `entropy+diversity`, the most
            different among the most doubtful.
        count: how many at most.
        labelled: folders of labelled images, or labelled data sets.
        models: run folders of the predictor; others (bundles) do not name their images.
        group: regular expression with one group, searched in each path below the folder: what it captures belongs
            together (a patient). A group with fewer labelled and suggested images comes first. None: frames of a
            video, where images are alike in the order of their names.
        seed: of `random`.
        leave_out: folders below which images do not count, such as those that are written into.
        progress: told after every image.
    Raises:
        ConfigError: an unknown strategy, `disagreement` of one network, or a bad pattern.
        PredictionError: there is no image, or none without a label that can be read.
        DatasetError: a folder of `labelled` is missing or without images.
    """
    folder = Path(folder)
    check_strategy(predictor, strategy, count)
    pattern = _pattern(group)
    pool = _pool(predictor, folder, labelled, models, leave_out)
    looker = Looker(predictor, progress)
    name, make = usual_vectors()
    try:
        here, failed = looker.looks(pool.candidates, name, make if "diversity" in strategy else None)
        there, _ = looker.looks(pool.labelled, name, make if "diversity" in strategy else None)
        doubts: dict[str, Doubt] = {}
        if strategy not in ("random", "diversity"):
            readable = {key: job for key, job in pool.candidates.items() if key in here}
            doubts, unasked = looker.doubts(readable)
            failed |= unasked
    finally:
        unsaved = looker.close()
    keys = [key for key in pool.candidates if key in here and key not in failed]
    if not keys:
        reason = next(iter(failed.values()))
        if pool.known:
            told = f"apart from what is labelled (images: {pool.known}), none can be read: {reason}"
            raise PredictionError(told, path=folder)
        raise PredictionError(message("no image without a label can be read: {reason}", reason=reason), path=folder)
    candidates = [(pool.candidates[key], here[key]) for key in keys]
    known = [(pool.labelled[key], look) for key, look in there.items()]
    looks, labelled_looks = [look for _, look in candidates], [look for _, look in known]
    relatives = _by_frames(candidates, known) if pattern is None else _by_name(candidates, known, pattern)
    copies = _Copies([look.thumb for look in looks], [look.thumb for look in labelled_looks])
    asked = [doubts[key] for key in keys] if doubts else []
    vectors, centres = _vectors(looks, labelled_looks, name) if "diversity" in strategy else (None, None)
    chosen = choose(
        count,
        _worth(strategy, asked, len(keys), seed),
        vectors,
        centres=centres,
        relatives=relatives,
        is_copy=copies.shows_what_is_there,
    )
    if not chosen:
        text = plural(
            "its only image without a label shows what is labelled already",
            "all of its {n} images without a label show what is labelled already",
            n=len(keys),
        )
        raise PredictionError(text, path=folder)
    reasons = _reasons(strategy, chosen, asked, first_of_all=not known)
    return Suggested(
        images=tuple(
            Suggestion(job=candidates[each.index][0], score=each.worth, why=why)
            for each, why in zip(chosen, reasons, strict=True)
        ),
        strategy=strategy,
        candidates=len(pool.candidates),
        labelled=pool.known,
        copies=copies.passed_over + pool.same,
        failed={pool.candidates[key].told: reason for key, reason in failed.items()} | pool.failed,
        notes=(*pool.notes, *_notes(strategy, name, unsaved)),
    )


def _notes(strategy: Strategy, vectors: str, unsaved: str | None) -> Iterator[Message]:
    if unsaved is not None:
        yield message("{reason}", reason=unsaved)
    if "diversity" in strategy and vectors == "plain":
        yield message(
            "no frozen encoder is installed, so images are compared by brightness, colour and sharpness alone; "
            "better: pip install 'segbench[lite0]'"
        )


def check_strategy(predictor: Predictor, strategy: str, count: int = 1) -> None:
    """Raises ConfigError for an unknown strategy, `disagreement` of one network, or a count below 1."""
    if strategy not in STRATEGIES:
        raise ConfigError(f"expected {', '.join(STRATEGIES)}, got {strategy!r}", key=argument("strategy"))
    if count < 1:
        raise ConfigError(message("expected 1 or more, got {n}", n=count), key=argument("count"))
    if strategy == "disagreement" and not isinstance(predictor.network, Ensemble):
        text = message(
            "one network cannot disagree with itself: name more trainings (--ensemble RUN, or a study with --entry), "
            "or take entropy"
        )
        raise ConfigError(text, key=argument("strategy"))


def _pattern(group: str | None) -> re.Pattern[str] | None:
    try:
        return check_pattern(group)
    except ConfigError as error:  # which names the key of a config
        raise ConfigError(error.reason, key=argument("group")) from error


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """Attributes: candidates and labelled, content -> image; known, labelled images of the folder; same, files of the
    folder with the bytes of a candidate; failed, path -> why; notes."""

    candidates: dict[str, Job]
    labelled: dict[str, Job]
    known: int
    same: int
    failed: dict[str, str]
    notes: tuple[Message, ...]


def _pool(
    predictor: Predictor,
    folder: Path,
    labelled: Sequence[str | Path],
    models: Sequence[str | Path],
    leave_out: Sequence[Path],
) -> _Pool:
    if not folder.is_dir():
        raise PredictionError(message("there is no such folder"), path=folder)
    labels = read_labels(folder)
    written = [path.resolve() for path in leave_out]
    found = find_images([folder], folder / ".suggested")  # where nothing lies
    jobs = [
        job
        for job in found.jobs(pages=predictor.bands is None)
        if not labels.is_label(job.path.absolute())
        and not any(job.path.resolve().is_relative_to(path) for path in written)
    ]
    learnt, hashes = learnt_from([Path(model) for model in models])
    others = [*labelled_elsewhere(map(Path, labelled)), *learnt]
    known: dict[str, Job] = {}
    for path in [*sorted(labels.images), *others]:
        try:
            known.setdefault(content_key(job_of(path)), job_of(path))
        except DatasetError:
            continue  # a labelled image that is gone or damaged is no candidate; training says so
    candidates: dict[str, Job] = {}
    failed = dict(found.failed)
    labelled_here = same = 0
    for job in jobs:
        try:
            key = content_key(job)
        except DatasetError as error:
            failed[job.told] = error.reason
            continue
        if key in known or key in hashes or job.path.absolute() in labels.images:
            labelled_here += 1
        elif key in candidates:
            same += 1
        else:
            candidates[key] = job
    if not candidates and not failed:
        raise PredictionError(
            plural(
                "its only image has a label; there is nothing left to suggest",
                "all of its {n} images have a label; there is nothing left to suggest",
                n=labelled_here,
            ),
            path=folder,
        )
    notes = () if labels.note is None else (labels.note,)
    return _Pool(candidates=candidates, labelled=known, known=labelled_here, same=same, failed=failed, notes=notes)


class _Copies:
    """Whether an image shows what is labelled or taken already.

    Attributes:
        passed_over: how many did.
    """

    def __init__(self, thumbs: Sequence[NDArray[np.uint8]], labelled: Sequence[NDArray[np.uint8]]) -> None:
        self._thumbs = np.array(thumbs)
        self._labelled = np.array(labelled, dtype=np.uint8).reshape(-1, *self._thumbs.shape[1:])
        self.passed_over = 0

    def shows_what_is_there(self, index: int, taken: Sequence[int]) -> bool:
        """Tells it of an image, given those that were taken."""
        there = np.concatenate([self._labelled, self._thumbs[list(taken)]])
        is_copy = bool(shows_one_of(self._thumbs[index], there).any())
        self.passed_over += is_copy
        return is_copy


def _by_name(candidates: Sequence[Placed], labelled: Sequence[Placed], pattern: re.Pattern[str]) -> Relatives:
    """Returns what counts labelled and taken images of the same group; a name without one is a group by itself."""

    def group(place: int, job: Job) -> str:
        match = pattern.search(job.below.as_posix())
        return match[1] if match and match[1] else f"/{place}"

    names = np.array([group(place, job) for place, (job, _) in enumerate(candidates)])
    had = Counter(group(-1, job) for job, _ in labelled)
    before = np.array([had[name] for name in names], dtype=np.int64)
    return lambda taken: before + (names[:, None] == names[list(taken)]).sum(axis=1)


def _by_frames(candidates: Sequence[Placed], labelled: Sequence[Placed]) -> Relatives | None:
    """Returns what counts labelled and taken images so near in a video that they are alike; None where there is none.

    A video is seen by images that are alike in the order of their names.
    """
    single = {job.path: look for job, look in (*candidates, *labelled) if job.page is None}
    facts = {
        path: ImageFact(
            size=0, mtime_ns=0, sha256="", height=0, width=0, decoded=True, thumb=look.thumb.tobytes().hex()
        )
        for path, look in single.items()
    }
    order = find_order([Case(id=path.as_posix(), image=path) for path in single], facts)
    if order is None:
        return None
    place = {case.image: float(number) for number, case in enumerate(order.cases)}
    places = np.array([place.get(job.path, np.nan) for job, _ in candidates])
    there = np.array([place.get(job.path, np.nan) for job, _ in labelled])

    def count(taken: Sequence[int]) -> NDArray[np.int64]:
        others = np.concatenate([there, places[list(taken)]])
        return np.asarray((np.abs(places[:, None] - others) <= order.reach).sum(axis=1), dtype=np.int64)

    return count


def _vectors(
    looks: Sequence[Look], known: Sequence[Look], name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the vectors of candidates, and of what is labelled, in units that can be compared."""
    together = comparable(np.stack([look.vector for look in (*looks, *known)]), name)
    return together[: len(looks)], together[len(looks) :]


def _worth(strategy: Strategy, doubts: Sequence[Doubt], number: int, seed: int) -> NDArray[np.float32] | None:
    if strategy == "random":
        return np.random.default_rng(seed).random(number, dtype=np.float32)
    if strategy == "diversity":
        return None
    return np.array([doubt_value(strategy, each) for each in doubts], dtype=np.float32)


def doubt_value(strategy: Strategy, doubt: Doubt) -> float:
    """Returns by what a strategy orders images; higher is earlier. Not for those without a model."""
    if strategy == "confidence":
        return 1.0 - doubt.confidence
    if strategy == "disagreement":
        assert doubt.disagreement is not None  # `_check` asked for several networks
        return doubt.disagreement
    return doubt.entropy


def _reasons(
    strategy: Strategy, chosen: Sequence[Chosen], doubts: Sequence[Doubt], first_of_all: bool
) -> Iterator[Message]:
    """Yields why each image was taken."""
    median = float(np.median([doubt_value(strategy, each) for each in doubts])) if doubts else 0.0
    for place, each in enumerate(chosen):
        if strategy == "random":
            yield message("drawn at random")
        elif strategy == "diversity" and first_of_all and not place:
            yield message("the most typical image of the folder")
        elif strategy == "diversity":
            yield why_different(each)
        else:
            yield why_doubtful(strategy, doubts[each.index], median)


def why_different(chosen: Chosen) -> Message:
    """Returns why an image comes early by `diversity`, in words."""
    return message("unlike all that is labelled or suggested before it (distance {far:.2f})", far=chosen.worth)


def why_doubtful(strategy: Strategy, doubt: Doubt, median: float) -> Message:
    """Returns why an image comes early, in words; `median`: the value of half of the images, or less."""
    if strategy == "disagreement":
        text = message(
            "the networks contradict each other ({value:.3f} a pixel; half of the images: at most {median:.3f})",
            value=doubt.disagreement,
            median=median,
        )
    elif strategy == "confidence" and not doubt.found:
        text = message("no object is found, with a probability of {value:.2f}", value=doubt.confidence)
    elif strategy == "confidence" and doubt.expected is not None:
        text = message("an IoU of {value:.2f} is expected", value=doubt.expected)
    elif strategy == "confidence":
        text = message("what is found has a probability of {value:.2f}", value=doubt.confidence)
    else:
        text = message(
            "doubtful ({value:.2f} a pixel; half of the images: at most {median:.2f})",
            value=doubt.entropy,
            median=median,
        )
    return message("{reason}, and unlike the others", reason=text) if strategy == "entropy+diversity" else text
