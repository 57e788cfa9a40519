"""The sentences of a verdict, made of its numbers."""

from __future__ import annotations

from segbench.locale import Message, Numbers, join, listed, message, plural
from segbench.statistics.differences import Estimate, Unit, at_level
from segbench.statistics.outcome import Needed, Outcome


def headline(verdict: Outcome) -> Message:
    """Returns the outcome in a few words."""
    count, total = len(verdict.may_be_best), len(verdict.names)
    if verdict.winner is not None:
        return message("Best: {name}", name=verdict.names[verdict.winner])
    if verdict.ahead is not None:
        return message(
            "No winner: {name} scored higher on these trained weights, which shows nothing about the networks",
            name=verdict.names[verdict.ahead],
        )
    if are_equivalent(verdict):
        return message(
            "No winner: {names} are equivalent, within {margin}",
            names=listed([verdict.names[index] for index in verdict.may_be_best]),
            margin=verdict.numbers.score(verdict.margin or 0.0),
        )
    if total == 2:
        return message("No winner: the two approaches cannot be told apart")
    if count == total:
        return plural(
            "No winner: {n} approach may be the best",
            "No winner: each of {n} approaches may be the best",
            n=total,
        )
    return plural(
        "No winner: {count} of {n} approach may be the best",
        "No winner: {count} of {n} approaches may be the best",
        n=total,
        count=count,
    )


def are_equivalent(verdict: Outcome) -> bool:
    """Returns whether there are several that may be the best, and each is shown to be equivalent to the best mean."""
    others = [index for index in verdict.may_be_best if index != verdict.best]
    return bool(others) and all(verdict.pair(verdict.best, index).answer == "equivalent" for index in others)


def best_sentences(verdict: Outcome) -> list[Message]:
    """Returns what the best mean is, and which others may be as good."""
    best, numbers = verdict.standing(verdict.best), verdict.numbers
    values = {"name": best.name, "score": verdict.score, "value": numbers.interval(best.mean)}
    if verdict.winner is not None:
        if verdict.all_judged:
            told_best = message("{name} reaches {score} {value}, and is better than every other approach.", **values)
        else:
            told_best = message(
                "{name} reaches {score} {value}, and is better than every other approach that was judged.", **values
            )
        return [told_best, *_next_sentences(verdict)]
    told = [message("The best mean is that of {name}: {score} {value}.", **values)]
    if verdict.ahead is not None:
        return [*told, *_next_sentences(verdict)]
    rest = [verdict.names[index] for index in verdict.may_be_best if index != verdict.best]
    if are_equivalent(verdict):
        told.append(
            message(
                "{names}: not different from it by more than {margin}.",
                names=listed(rest),
                margin=numbers.score(verdict.margin or 0.0),
            )
        )
        return told
    if len(verdict.may_be_best) < len(verdict.names):
        told.append(message("As good, or better, may be {names}.", names=listed(rest)))
    told.append(
        message(
            "That is a normal outcome: not showing a difference is not showing that there is none. Where scores do not "
            "decide, cost may."
        )
    )
    return told


def first_and_second(verdict: Outcome) -> Message:
    """Returns how far the best mean is ahead of the next, whether that is shown or not."""
    first, second = verdict.entries[:2]
    lead = verdict.pair(first.index, second.index)
    values = {
        "first": first.name,
        "second": second.name,
        "value": verdict.numbers.interval(lead.difference, signed=True),
    }
    if verdict.ahead is not None:
        return message(
            "First and second, {first} minus {second}: {value}, shown for these trained weights alone.", **values
        )
    if verdict.winner is not None:
        return _shown_lead(verdict, lead.difference, values)
    if lead.answer == "equivalent":
        margin = verdict.numbers.score(verdict.margin or 0.0)
        return message(
            "First and second, {first} minus {second}: {value}, equal within {margin}.", margin=margin, **values
        )
    return _open_lead(verdict, lead.difference, values)


def _shown_lead(verdict: Outcome, lead: Estimate, values: dict[str, str]) -> Message:
    """Returns the sentence about a winner's lead."""
    if lead.low <= 0.0 <= lead.high:
        return message(
            "First and second, {first} minus {second}: {value}; shown without the trainings of {second} that failed.",
            **values,
        )
    if _hardly_matters(verdict, lead):
        margin = verdict.numbers.score(verdict.margin or 0.0)
        return message(
            "First and second, {first} minus {second}: {value}, shown; less than {margin} hardly matters.",
            margin=margin,
            **values,
        )
    return message("First and second, {first} minus {second}: {value}, shown.", **values)


def _open_lead(verdict: Outcome, lead: Estimate, values: dict[str, str]) -> Message:
    """Returns the sentence about a lead that makes no winner, with an interval that does not say otherwise.

    At a look of its own level the interval is of that level. Where it leaves out 0 all the same, another entry stands
    in the way, which varies more.
    """
    alpha = 1 - verdict.level if verdict.look is None else verdict.look.alpha
    if lead.low <= 0.0 <= lead.high:
        return message("First and second, {first} minus {second}: {value}, not shown.", **values)
    if lead.p > alpha:
        wider = verdict.numbers.interval(at_level(lead, 1 - alpha), signed=True)
        return message(
            "First and second, {first} minus {second}: {value}, not shown; the interval is at {level}, the level of "
            "this look.",
            level=verdict.numbers.level(1 - alpha),
            **{**values, "value": wider},
        )
    others = [entry.index for entry in verdict.entries[2:]]
    rest = [verdict.names[index] for index in others if verdict.pair(verdict.best, index).difference.p > alpha]
    return message(
        "First and second, {first} minus {second}: {value}, shown of these two alone: that {first} is better than "
        "{rest} is not.",
        rest=listed(rest, 3) if rest else message("every other one"),
        **values,
    )


def _next_sentences(verdict: Outcome) -> list[Message]:
    """Returns how far the best is ahead of the next, and whether that matters in practice."""
    following, numbers = verdict.entries[1], verdict.numbers
    lead = verdict.pair(verdict.best, following.index).difference
    told = [
        message(
            "The difference from the next, {name}, is {value}.",
            name=following.name,
            value=numbers.interval(lead, signed=True),
        )
    ]
    if _hardly_matters(verdict, lead):
        margin = numbers.score(verdict.margin or 0.0)
        told.append(message("That is less than {margin}, which hardly matters.", margin=margin))
    return told


def _hardly_matters(verdict: Outcome, difference: Estimate) -> bool:
    """Returns whether a whole interval lies inside the margin."""
    return verdict.margin is not None and max(abs(difference.low), abs(difference.high)) < verdict.margin


def cheapest_sentences(verdict: Outcome) -> list[Message]:
    """Returns a sentence that names the entry that is the cheapest, for every cost that is known."""
    if verdict.margin is None:
        return []
    found: dict[int, list[Message]] = {}
    for cost, index in verdict.cheapest.items():
        value = verdict.costs[cost][index]
        shared = sum(verdict.costs[cost][other] == value for other in verdict.not_worse) - 1
        found.setdefault(index, []).append(_cheap(cost, value, shared, verdict.numbers))
    parts = [
        message("{name} is {what}", name=verdict.names[index], what=join(", ", what)) for index, what in found.items()
    ]
    if not parts:
        return []
    return [
        message(
            "Among those shown to be not worse than {best} by more than {margin}, {parts}.",
            best=verdict.names[verdict.best],
            margin=verdict.numbers.score(verdict.margin),
            parts=join("; ", parts),
        )
    ]


def failure_sentences(verdict: Outcome) -> list[Message]:
    """Returns how many trainings collapsed, and how many may: of entries with such trainings, and of the best."""
    told = []
    for entry in verdict.entries:
        count, total = entry.failures
        values = {"name": entry.name, "high": verdict.numbers.percent(entry.failure_high)}
        if count:
            told.append(
                message(
                    "Trainings of {name} that predict one class only: {count} of {n}, and up to {high} may; they count "
                    "in its mean, and in nobody else's interval.",
                    n=total,
                    count=count,
                    **values,
                )
            )
        elif total and entry.index == verdict.best:
            told.append(
                plural(
                    "{n} training of {name} did not fail; that up to {high} of its trainings do cannot be excluded.",
                    "None of {n} trainings of {name} failed; that up to {high} of its trainings do cannot be excluded.",
                    n=total,
                    **values,
                )
            )
    return told


def _cheap(cost: str, value: float, shared: int, numbers: Numbers) -> Message:
    if cost == "training_s":
        return message("the quickest to train ({value} a run)", value=numbers.duration(value))
    if cost == "images_per_s":
        return message("the fastest to predict ({value} images/s)", value=numbers.rate(value))
    shown = numbers.large(value)
    if shared:
        return message("among the smallest ({value} parameters, as {n} more)", value=shown, n=shared)
    return message("the smallest ({value} parameters)", value=shown)


def ranks_text(ranks: tuple[int, int]) -> str:
    """Returns the best and the worst rank, such as `1-4`."""
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]}\u2013{ranks[1]}"


def units(unit: Unit, number: int) -> Message:
    """Returns a number of images, or of groups."""
    if unit == "groups":
        return plural("{n:,} group", "{n:,} groups", n=number)
    return plural("{n:,} image", "{n:,} images", n=number)


def _seeds(number: int) -> Message:
    return plural("{n:,} seed", "{n:,} seeds", n=number)


def needed_sentences(verdict: Outcome) -> list[Message]:
    """Returns what would tell the best from the next, and what could be shown here; nothing where there is a winner."""
    needed, numbers = verdict.needed, verdict.numbers
    if needed is None:
        return []
    gap = numbers.score(needed.difference)
    names = {"first": verdict.names[needed.first], "second": verdict.names[needed.second]}
    images_now, seeds_now = units(needed.unit, needed.images_now), _seeds(needed.seeds_now)
    ways = _ways(needed, images_now, seeds_now)
    if ways:
        first = message(
            "To tell {first} from {second} at the estimated difference of {difference}, about {ways} would be needed.",
            difference=gap,
            ways=message("{way}, or {other}", way=ways[0], other=ways[1]) if len(ways) == 2 else ways[0],
            **names,
        )
    elif needed.together:
        first = message(
            "To tell {first} from {second} at the estimated difference of {difference}, more images and more seeds "
            "together would be needed; neither alone suffices.",
            difference=gap,
            **names,
        )
    elif verdict.speaks_of == "these trained weights":
        first = message(
            "{first} and {second} differ by {difference}: too close for any number of images to tell them apart; only "
            "more seeds say anything about the networks.",
            difference=gap,
            **names,
        )
    else:
        first = message(
            "{first} and {second} differ by {difference}: too close to tell apart with any number of images or seeds "
            "that somebody may have.",
            difference=gap,
            **names,
        )
    more_seeds_only = []
    if needed.images is None and needed.seeds is not None:
        more_seeds_only.append(
            message(
                "With {seeds} no number of images that somebody may have suffices: how much one training differs from "
                "the next is larger.",
                seeds=seeds_now,
            )
        )
    return [
        first,
        *more_seeds_only,
        message(
            "With {images} and {seeds}, a true difference of {difference} would have been found with a probability of "
            "{power}, and two equal approaches would have been shown to be equivalent, within {margin}, as often.",
            images=images_now,
            seeds=seeds_now,
            difference=numbers.score(needed.detectable),
            margin=numbers.score(needed.margin),
            power=numbers.percent(needed.power),
        ),
    ]


def _ways(needed: Needed, images_now: Message, seeds_now: Message) -> list[Message]:
    ways = []
    if needed.images is not None:
        more = units(needed.unit, needed.images)
        ways.append(
            message("{more} instead of {now:,} (with {seeds})", more=more, now=needed.images_now, seeds=seeds_now)
        )
    if needed.seeds is not None:
        more = _seeds(needed.seeds)
        ways.append(
            message("{more} instead of {now:,} (with {images})", more=more, now=needed.seeds_now, images=images_now)
        )
    return ways


def baseline_sentences(verdict: Outcome) -> list[Message]:
    """Returns how the entries stand to the baseline; nothing where none was named."""
    if verdict.baseline is None:
        return []
    base = verdict.standing(verdict.baseline)
    better = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better == pair.first]
    worse = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better == verdict.baseline]
    rest = [verdict.names[pair.first] for pair in verdict.against_baseline if pair.better is None]
    result = [
        message(
            "The baseline is {name} with {value}. Significantly better: {better}; significantly worse: {worse}; cannot "
            "be told apart: {rest}.",
            name=base.name,
            value=verdict.numbers.interval(base.mean),
            better=listed(better) if better else message("none"),
            worse=listed(worse) if worse else message("none"),
            rest=listed(rest) if rest else message("none"),
        )
    ]
    if verdict.best != verdict.baseline:
        best = next(pair for pair in verdict.against_baseline if pair.first == verdict.best)
        result.append(
            message(
                "Best minus baseline, {first} minus {second}: {value}; {p} after Holm's correction over the "
                "comparisons with the baseline.",
                first=verdict.names[best.first],
                second=verdict.names[best.second],
                value=verdict.numbers.interval(best.difference, signed=True),
                p=verdict.numbers.p_is(best.p_holm),
            )
        )
    return result


def speaks_of_sentence(verdict: Outcome) -> Message:
    """Returns what the intervals hold for."""
    if verdict.speaks_of == "these trained weights":
        return message(
            "One training each: the intervals speak of these trained weights on other images of this kind, not of the "
            "approaches."
        )
    seeds = sorted({standing.seeds for standing in verdict.entries if standing.seeds})
    return message(
        "The intervals speak of the approaches: trained again with other seeds ({seeds} each here), and scored on "
        "other "
        "data of this kind ({units} here).",
        seeds=f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}",
        units=units(verdict.unit, verdict.n_units),
    )
