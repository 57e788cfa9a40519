"""The section of images to look at: the best approach's worst, disagreement, masks that may be wrong."""

from __future__ import annotations

from segbench.compare.evidence import Entry
from segbench.explain.cases import Case
from segbench.explain.label_mistakes import LabelCandidate
from segbench.locale import Numbers, join, listed, message, plural
from segbench.report.analysis import Analysis
from segbench.report.document import Block, Folded, Gallery, Heading, Section, Tile, text
from segbench.report.labels import CASES
from segbench.report.pictures import Pictures
from segbench.report.summary import called, explained_sentence, name_of, numbered
from segbench.report.svg import Sketch

_CLASSES_SHOWN = 12


def cases_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section:
    """Returns images to look at: worst, middle and best of the best approach, disagreement, doubtful labels."""
    best, count, called = analysis.best, pictures.budget.cases, name_of(analysis, analysis.verdict.best)
    blocks: list[Block] = [
        *text(message("Worst, middle and best test images of {name}, by its mean score over seeds.", name=called))
    ]
    if not best.masks:
        blocks += text(message("{name} keeps no masks, so its predictions cannot be shown.", name=called), tone="note")
    blocks.append(pictures.legend(with_errors=True))
    for key in ("worst", "median", "best"):
        cases: tuple[Case, ...] = getattr(analysis.cases, key)
        rows = tuple((_case_title(case, analysis.numbers), _case_tiles(case, best, pictures)) for case in cases[:count])
        blocks += [Heading(text=CASES[key]), Gallery(rows=rows)]
    blocks += _worst_of_classes(analysis, pictures)
    blocks += _disagreements(analysis, pictures)
    blocks += _candidates(analysis, pictures)
    return Section(key="cases", title=message("Images to look at"), blocks=tuple(blocks))


def _worst_of_classes(analysis: Analysis, pictures: Pictures) -> list[Block]:
    """Returns the worst image of each class, the worst class first; nothing where one class is scored."""
    worst = sorted(
        ((name, cases.worst[0]) for name, cases in analysis.class_cases.items()), key=lambda one: one[1].score
    )
    if not worst:
        return []
    rows = tuple(
        (
            message("{name}: {case}", name=name, case=_case_title(case, analysis.numbers)),
            _case_tiles(case, analysis.best, pictures),
        )
        for name, case in worst[:_CLASSES_SHOWN]
    )
    note = text(message("By the IoU of the class, among the images whose true mask holds it."), tone="note")
    return [Folded(title=message("Worst image of each class"), blocks=(*note, Gallery(rows=rows)))]


def _case_title(case: Case, numbers: Numbers) -> str:
    seeds = join("; ", [numbers.score(score) for score in case.seed_scores])
    told = join(": ", [case.image_id, numbers.score(case.score)])
    if len(case.seed_scores) < 2:
        return told
    return message("{image} (seeds: {scores})", image=told, scores=seeds)


def _case_tiles(case: Case, entry: Entry, pictures: Pictures) -> tuple[Tile, ...]:
    tiles = [*pictures.image_and_truth(case.image_id)]
    if entry.masks:
        tiles.append(pictures.prediction(entry, case.image_id, pictures.seed_caption(entry, message("prediction"))))
        for seed in range(min(len(entry.masks), 2)):
            caption = (
                message("errors") if len(entry.masks) == 1 else message("errors, seed {seed}", seed=entry.seeds[seed])
            )
            tiles.append(pictures.errors(entry, case.image_id, caption, seed))
    return tuple(tiles)


def _shown_entries(analysis: Analysis, pictures: Pictures) -> list[int]:
    """Returns the best entries that keep masks, as many as fit, and the baseline among them."""
    places = list(analysis.explained)
    shown = places[: pictures.budget.entries]
    base = analysis.verdict.baseline
    if base in places and base not in shown:
        shown[-1] = base
    return shown


def _disagreements(analysis: Analysis, pictures: Pictures) -> list[Block]:
    found = analysis.disagreements
    if found is None:
        return [
            *text(
                message("Fewer than two approaches keep masks, so they cannot be compared image by image."), tone="note"
            )
        ]
    shown = _shown_entries(analysis, pictures)
    rows = []
    for case in found.cases[: 2 * pictures.budget.cases]:
        tiles = [*pictures.image_and_truth(case.image_id)]
        for place in shown:
            entry = analysis.evidence.entries[place]
            score = analysis.numbers.score(case.scores[entry.name])
            caption = join(": ", [numbered(analysis, place), score])
            tiles.append(pictures.errors(entry, case.image_id, pictures.seed_caption(entry, caption)))
        title = message(
            "{image}: disagreement {share}", image=case.image_id, share=analysis.numbers.percent(case.disagreement)
        )
        rows.append((title, tuple(tiles)))
    about = message(
        "Mean disagreement of two approaches over all test images: {mean}.", mean=analysis.numbers.percent(found.mean)
    )
    told = text(about, explained_sentence(analysis))
    return [Heading(text=message("Where the approaches disagree most")), *told, Gallery(rows=tuple(rows))]


def _candidates(analysis: Analysis, pictures: Pictures) -> list[Block]:
    found = analysis.candidates
    if found.reason:
        return []
    blocks: list[Block] = [Heading(text=message("Masks that may be wrong"))]
    images = plural("{n:,} image", "{n:,} images", n=found.n)
    runs = plural("{n:,} training", "{n:,} trainings", n=found.runs)
    if not found.cases:
        told = message(
            "Among {images}, none was found on which the {runs} that were asked agree with each other against the "
            "mask.",
            images=images,
            runs=runs,
        )
        return [*blocks, *text(told), *_not_asked(analysis)]
    told = message(
        "Most of the {runs} that were asked agree with each other here, and not with the true mask. Candidates to look "
        "at, not proof.",
        runs=runs,
    )
    blocks += [*text(told), *_not_asked(analysis)]
    best = next(place for place in analysis.order if analysis.evidence.entries[place].name in found.compared)
    entry = analysis.evidence.entries[best]
    rows = []
    for case in found.cases[: 2 * pictures.budget.cases]:
        tiles = [*pictures.image_and_truth(case.image_id)]
        tiles.append(pictures.prediction(entry, case.image_id, pictures.seed_caption(entry, message("prediction"))))
        caption = pictures.seed_caption(entry, message("prediction against mask"))
        tiles.append(pictures.errors(entry, case.image_id, caption))
        rows.append((_candidate_title(case, analysis.numbers), tuple(tiles)))
    return [*blocks, Gallery(rows=tuple(rows))]


def _not_asked(analysis: Analysis) -> list[Block]:
    weaker = analysis.candidates.weaker
    if not weaker:
        return []
    told = message(
        "Not asked, since they are clearly worse or collapsed: {names}.", names=listed(called(analysis, weaker), 6)
    )
    return [*text(told, tone="note")]


def _candidate_title(case: LabelCandidate, numbers: Numbers) -> str:
    values = {"image": case.image_id, "share": numbers.percent(case.pixels / case.class_pixels)}
    if case.runs_class is None:
        return message("{image}: no {mask}, say the trainings ({share} of the class)", mask=case.mask_class, **values)
    if case.mask_class is None:
        return message("{image}: {runs}, say the trainings ({share} of the class)", runs=case.runs_class, **values)
    return message(
        "{image}: {mask} in the mask, {runs} say the trainings ({share} of the class)",
        mask=case.mask_class,
        runs=case.runs_class,
        **values,
    )
