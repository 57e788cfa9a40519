"""How often verdicts are right: false winners, power, who may be best, margins, looks and means, in drawn studies.

python benchmarks/decision.py [--studies 5000] [--only errors] [--write]

The studies are drawn for this, apart from those of tests/statistics/_simulation.py, and judged by segbench's own code.
Images score .80 on average with SD .17 and skewness -2.5; 5 % are hard, 1 % score exactly 0 and 2 % exactly 1 for every
entry. Entries differ by image with a tail to bad scores, more on hard images: SD of a seed-averaged difference .043
("calm") or .10 ("rough"). Seed SDs are lognormal around .01; two entries' differ by a factor of 2 (root mean square).
A lead is added to every score of the entry. `before` is the rule that segbench had: Holm over all pairs of entries.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from segbench.statistics.looks import plan_look
from segbench.statistics.margin import mean_in_bounds
from segbench.statistics.p_values import holm, two_sided_p
from segbench.statistics.ranking import is_verified, may_be_best, p_of_best, pair_weights, rank_sets
from segbench.statistics.variance import (
    FloatArray,
    Parts,
    contrast_variance,
    decompose,
    units_of,
    with_larger_seed_variances,
)

ROOT = Path(__file__).resolve().parent.parent
CHUNK_VALUES = 3_000_000
ALPHA, LEADS, MARGIN = 0.05, (0.01, 0.02, 0.05), 0.01
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One kind of study.

    Attributes:
        entries, seeds, images: K, S, N.
        rough: entries differ by image with SD .10, not .043.
        seed_sd: median over entries of the SD between seeds.
        spread: SD of the logarithm of an entry's seed SD.
        unstable: the first entry's seed SD is so many times larger.
        groups: images come in so many groups of very different sizes, and half of what differs is shared within one.
    """

    entries: int
    seeds: int
    images: int
    rough: bool = False
    seed_sd: float = 0.01
    spread: float = float(np.log(2) / np.sqrt(2))
    unstable: float = 1.0
    groups: int | None = None

    @property
    def group_of(self) -> npt.NDArray[np.intp] | None:
        """(N,) group of every image: one has half of the images, the others share the rest."""
        if self.groups is None:
            return None
        half = self.images // 2
        return np.concatenate([np.zeros(half, np.intp), 1 + np.arange(self.images - half) % (self.groups - 1)])


def draw_values(cell: Cell, studies: int, random: np.random.Generator) -> FloatArray:
    """Returns scores (studies, K, S, N) of entries that are truly equal."""
    count, images = cell.entries, cell.images
    base, hardness = _images(random, (studies, images))
    per_image, residual = (0.0616, 0.06) if cell.rough else (0.025, 0.03)
    own = np.exp(0.3 * random.standard_normal((studies, count, 1)) - 0.09)
    tail = _tail(random, (studies, count, images))
    if cell.group_of is not None:
        assert cell.groups is not None
        tail = (tail + _tail(random, (studies, count, cell.groups))[..., cell.group_of]) / np.sqrt(2)
    effect = base[:, None] + per_image * own * hardness[:, None] * tail
    sd = cell.seed_sd * np.exp(cell.spread * random.standard_normal((studies, count)))
    sd *= np.where(np.arange(count) == 0, cell.unstable, 1.0)
    seeds = sd[..., None] * random.standard_normal((studies, count, cell.seeds))
    noise = random.standard_normal((studies, count, cell.seeds, images), np.float32)
    values: FloatArray = effect[:, :, None] + seeds[..., None] + residual * hardness[:, None, None] * noise
    return values


def _images(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Returns what every entry scores on an image, and how much entries differ on it."""
    base = 1 - 0.1684 * random.gamma(2.9, 1 / 2.9, shape)
    base = np.where(random.random(shape) < 0.05, 0.4 * random.random(shape), base)
    kind = random.random(shape)
    base = np.clip(np.where(kind < 0.01, 0.0, np.where(kind < 0.03, 1.0, base)), 0, 1)
    return base, np.where(kind < 0.03, 0.0, (0.4 + 3 * (1 - base)) / 1.1225)


def _tail(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Returns numbers of mean 0 and SD 1 with a tail to the left."""
    return (2 - random.standard_gamma(2, shape)) / np.sqrt(2)


def chunks(cell: Cell, studies: int, seed: int = 0) -> Iterator[FloatArray]:
    """Yields the scores of so many studies in parts that fit in memory."""
    random = np.random.default_rng([seed, cell.entries, cell.seeds, cell.images, int(cell.rough)])
    size = max(CHUNK_VALUES // (cell.entries * cell.seeds * cell.images), 1)
    for start in range(0, studies, size):
        yield draw_values(cell, min(size, studies - start), random)


def split(values: FloatArray, cell: Cell) -> Parts:
    """Returns the parts of the studies, as segbench has them."""
    return decompose([values[:, k] for k in range(cell.entries)], units_of(cell.group_of, cell.images))


def moved(parts: Parts, leads: Sequence[float]) -> Parts:
    """Returns the studies with a lead (K,) added to every score of each entry."""
    return replace(parts, means=parts.means + np.asarray(leads))


def leads_of(count: int, **ahead: float) -> FloatArray:
    """Returns (K,) leads: `first` of the first entry; `rest` of all but two."""
    leads = np.zeros(count)
    leads[0] = ahead.get("first", 0.0)
    leads[2:] = ahead.get("rest", 0.0)
    return leads


Rule = Callable[[Parts], tuple[npt.NDArray[np.intp], BoolArray]]


def before(parts: Parts) -> tuple[npt.NDArray[np.intp], BoolArray]:
    """Returns the best mean and whether Holm over all pairs tells it from every other."""
    best, count = parts.means.argmax(axis=-1), parts.means.shape[-1]
    adjusted = square(holm(two_sided_p(*contrast_variance(parts, pair_weights(count)))), count)
    return best, is_verified(of(adjusted, best), ALPHA)


def after(parts: Parts) -> tuple[npt.NDArray[np.intp], BoolArray]:
    """Returns the best mean and whether it is verified, as segbench has it."""
    best, p = p_of_best(with_larger_seed_variances(parts), True)
    return best, is_verified(p, ALPHA)


def square(pairs: FloatArray, count: int) -> FloatArray:
    """Returns (..., K, K) of what pairs (..., K (K - 1) / 2) have, 1 on the diagonal."""
    found = np.ones((*pairs.shape[:-1], count, count))
    first, second = np.triu_indices(count, 1)
    found[..., first, second] = found[..., second, first] = pairs
    return found


def of(matrix: FloatArray, best: npt.NDArray[np.intp]) -> FloatArray:
    """Returns (..., K) the row of the best of each study."""
    return np.take_along_axis(matrix, best[..., None, None], axis=-2)[..., 0, :]


def shares(cell: Cell, studies: int, rules: Sequence[Rule], powers: bool) -> list[list[float]]:
    """Returns for every rule: false winners of equal entries, of two tied leaders, and power for each lead."""
    found: list[list[list[BoolArray]]] = [[[] for _ in range(2 + len(LEADS))] for _ in rules]
    for values in chunks(cell, studies):
        parts = split(values, cell)
        cases = [parts, moved(parts, leads_of(cell.entries, rest=-0.05))]
        for rule, lists in zip(rules, found, strict=True):
            for case, column in zip(cases, lists, strict=False):
                column.append(rule(case)[1])
            for lead, column in zip(LEADS if powers else (), lists[2:], strict=False):
                best, verified = rule(moved(parts, leads_of(cell.entries, first=lead)))
                column.append(verified & (best == 0))
    return [[float(np.concatenate(column).mean()) if column else np.nan for column in lists] for lists in found]


def percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f}"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Returns the lines of a Markdown table."""
    titles = list(head)
    lines = ["| " + " | ".join(titles) + " |", "| " + " | ".join("---" for _ in titles) + " |"]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def errors(studies: int) -> list[str]:
    rows = []
    for entries in (2, 4, 8, 20):
        for seeds in (2, 3, 5):
            for images in (20, 50, 200):
                cell = Cell(entries=entries, seeds=seeds, images=images)
                old, new = shares(cell, studies if entries < 20 else studies * 2 // 5, (before, after), powers=True)
                both = [f"{percent(a)}, **{percent(b)}**" for a, b in zip(old, new, strict=True)]
                rows.append([entries, seeds, images, *both])
                print(rows[-1], file=sys.stderr, flush=True)
    head = ["entries", "seeds", "images", "false winner, all equal", "false winner, two tied, others .05 behind"]
    return table([*head, *(f"leader by {lead} named" for lead in LEADS)], rows)


def stress(studies: int) -> list[str]:
    kinds: dict[str, dict[str, float]] = {
        "rough: differences of images have SD .10": {"rough": True},
        "seed SDs differ by a factor of 2.7, RMS": {"spread": float(np.log(2))},
        "all seed SDs alike": {"spread": 0.0},
        "10 unequal groups, one with half of the images": {"groups": 10},
        "one entry with 4 times the seed SD of the others": {"spread": 0.0, "unstable": 4.0},
    }
    rows = []
    for name, kind in kinds.items():
        for seeds in (2, 3, 5):
            row: list[object] = [name, seeds]
            for entries in (2, 3, 4, 8):
                cell = Cell(entries=entries, seeds=seeds, images=50 if kind.get("rough") else 200, **kind)  # type: ignore[arg-type]
                (new,) = shares(cell, studies if entries < 8 else studies // 2, (after,), powers=False)
                row.append(f"{percent(new[0])}, {percent(new[1])}")
            rows.append(row)
    return table(["studies", "seeds", *(f"{entries} entries" for entries in (2, 3, 4, 8))], rows)


def statements(studies: int) -> list[str]:
    """Who may be best, ranks, and who is a candidate for the cheapest."""
    rows = []
    for entries, seeds in ((2, 3), (4, 2), (4, 3), (8, 3), (8, 5), (20, 3)):
        cell = Cell(entries=entries, seeds=seeds, images=50)
        truth = {"all equal": np.zeros(entries), "steps of .005": -0.005 * np.arange(entries)}
        truth["one .05 behind"] = np.where(np.arange(entries) == entries - 1, -0.05, 0.0)
        found: dict[str, list[list[FloatArray]]] = {name: [[] for _ in range(5)] for name in truth}
        for values in chunks(cell, studies if entries < 20 else studies // 5, seed=1):
            parts = split(values, cell)
            for name, leads in truth.items():
                for column, each in zip(found[name], statements_of(moved(parts, leads), leads), strict=True):
                    column.append(each)
        for name, columns in found.items():
            held, size, ranked, old, new = (float(np.concatenate(column).mean()) for column in columns)
            behind = [percent(old), percent(new)] if name == "one .05 behind" else ["", ""]
            rows.append([entries, seeds, name, percent(held), f"{size:.1f}", percent(ranked), *behind])
    head = ["entries", "seeds", "truth", "true best in the set", "size of the set", "all ranks right"]
    return table([*head, "the .05 worse a candidate, before", "now"], rows)


def statements_of(parts: Parts, leads: FloatArray) -> list[FloatArray]:
    count = len(leads)
    used = with_larger_seed_variances(parts)
    best, p = p_of_best(used, True)
    possible, verified = may_be_best(p, ALPHA), is_verified(p, ALPHA)
    true_best = leads == leads.max()
    # With several truly best ones the set has to hold one of them; a winner among them is a false one.
    held = (possible & true_best).any(axis=-1) & ~(verified & (true_best.sum() > 1))
    value, variance, df = contrast_variance(used, pair_weights(count))
    different = square(holm(two_sided_p(value, variance, df)), count) <= ALPHA
    higher = parts.means[..., :, None] > parts.means[..., None, :]
    low, high = 1 + (leads[None] > leads[:, None]).sum(axis=1), count - (leads[None] < leads[:, None]).sum(axis=1)
    ranked = []
    for one, may_be in zip(different & higher, possible, strict=True):
        sets = np.array(rank_sets(one, may_be))
        ranked.append(
            bool(((sets[:, 0] <= high) & (sets[:, 1] >= low) & (sets[:, 0] <= low) & (sets[:, 1] >= high)).all())
        )
    last = count - 1
    gap = np.take_along_axis(parts.means, best[..., None], -1)[..., 0] - parts.means[..., last]
    pairs = list(combinations(range(count), 2))
    place = np.array([pairs.index((k, last)) if k != last else 0 for k in range(count)])[best]
    half = np.take_along_axis(stdtrit(df, 1 - ALPHA) * np.sqrt(variance), place[..., None], -1)[..., 0]
    old = square(holm(two_sided_p(*contrast_variance(parts, pair_weights(count)))), count)
    together = of(old, best)[..., last] > ALPHA
    return [
        held.astype(float),
        possible.sum(axis=-1).astype(float),
        np.array(ranked, float),
        together.astype(float),
        ((gap + half < MARGIN) | (best == last)).astype(float),
    ]


def looks(studies: int) -> list[str]:
    """False winners where seeds are added until there is a winner."""
    rows = []
    for entries in (2, 4, 8):
        for first in (2, 3):
            cell = Cell(entries=entries, seeds=first + 4, images=200)
            leads = leads_of(entries, rest=-0.05)
            p: list[list[FloatArray]] = [[] for _ in range(5)]
            for values in chunks(cell, studies, seed=2):
                for extra, column in enumerate(p):
                    parts = split(values[:, :, : first + extra], replace(cell, seeds=first + extra))
                    others = p_of_best(with_larger_seed_variances(moved(parts, leads)), True)[1]
                    column.append(np.sort(others, axis=-1)[..., -2])  # of the one it is least surely ahead of
            each = [np.concatenate(column) for column in p]
            for total in (2, 3, 5):
                levels = {"always .05": [0.05] * total}
                levels["planned"] = [plan_look(number, total).alpha for number in range(1, total + 1)]
                levels["not planned"] = [plan_look(number, 1).alpha for number in range(1, total + 1)]
                wrong = [
                    np.any([one <= level for one, level in zip(each, used, strict=False)], axis=0).mean()
                    for used in levels.values()
                ]
                rows.append([entries, f"{first} to {first + total - 1}", total, *map(percent, wrong)])
    return table(["entries", "seeds", "looks", "level .05 at each", "planned", "planned one, took more"], rows)


def one_seed(studies: int) -> list[str]:
    rows = []
    for entries in (2, 4, 8, 20):
        cell = Cell(entries=entries, seeds=1, images=200)
        wrong = [after(split(values, cell))[1] for values in chunks(cell, studies // 2, seed=3)]
        rows.append([entries, percent(float(np.concatenate(wrong).mean())), "0.0"])
    return table(["entries", "ahead on these weights, networks all equal", "called a winner"], rows)


Scores = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]


def typical_scores(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return _images(random, shape)[0]


def high_scores_with_failures(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    kind = random.random(shape)
    middle = np.where(kind < 0.13, 0.5, 1 - 0.03 * random.gamma(2, 0.5, shape))
    return np.clip(np.where(kind < 0.015, 0.0, np.where(kind < 0.1, 1.0, middle)), 0, 1)


def high_scores(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    score = 1 - 0.05 * random.gamma(1.2, 1 / 1.2, shape)
    return np.clip(np.where(random.random(shape) < 0.1, 1.0, score), 0, 1)


def scores_of_failures(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return np.where(random.random(shape) < 0.4, 0.0, random.beta(6, 1.5, shape))


def means(studies: int) -> list[str]:
    kinds: dict[str, Scores] = {
        "as above, mean .80, 1 % exactly 0": typical_scores,
        "mean .94, 1.5 % exactly 0, 8 % exactly 1": high_scores_with_failures,
        "mean .96, none fails, 10 % exactly 1": high_scores,
        "mean .48, 40 % exactly 0": scores_of_failures,
    }
    rows = []
    for name, scores in kinds.items():
        random = np.random.default_rng(4)
        truth = float(scores(random, (4_000_000,)).mean())
        for images in (10, 20, 50, 200):
            values = scores(random, (studies, images))
            row: list[object] = [name, images]
            for low, high in mean_intervals(values):
                row += [percent(float(np.mean((low <= truth) & (truth <= high)))), f"{float(np.mean(high - low)):.3f}"]
            rows.append(row)
    ways = ("t", "logit", "skewness removed", "segbench")
    return table(["scores", "images", *(title for way in ways for title in (way, "width"))], rows)


def mean_intervals(values: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Returns the ends after t, t on the logit scale, t with skewness removed (Hall 1992), and segbench's."""
    count = values.shape[1]
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=1)
    error, t = sd / np.sqrt(count), float(stdtrit(count - 1, 0.975))
    inside = np.clip(mean, 1e-9, 1 - 1e-9)
    middle, step = np.log(inside / (1 - inside)), t * error / inside / (1 - inside)
    skewness = ((values - mean[:, None]) ** 3).mean(axis=1) / np.maximum(values.std(axis=1), 1e-12) ** 3
    third = np.where(np.abs(skewness) < 1e-8, 1e-8, skewness) / 3
    hall = [
        mean - sd * (np.cbrt(1 + 3 * third * (s * t / np.sqrt(count) - skewness / 6 / count)) - 1) / third
        for s in (1, -1)
    ]
    ours = mean_in_bounds(mean, error**2, np.full(mean.shape, count - 1.0), count, error**2, (0.0, 1.0), 0.95)
    logit = tuple(1 / (1 + np.exp(-(middle + sign * step))) for sign in (-1, 1))
    clipped = [
        (np.clip(low, 0, 1), np.clip(high, 0, 1)) for low, high in ((mean - t * error, mean + t * error), logit, hall)
    ]
    return [*clipped, ours]


PARTS: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "errors": (
        "False winners and power, before and **now** (calm)",
        errors,
    ),
    "stress": ("False winners in harder studies (all equal, two tied), 200 images, 50 where rough", stress),
    "statements": ("Who may be best, ranks, and candidates for the cheapest (50 images, margin .01)", statements),
    "looks": ("Looking again: false winners among two tied leaders, 200 images", looks),
    "one_seed": ("One seed each", one_seed),
    "means": ("95 % intervals of one mean that hold the truth, and their widths", means),
}


def main() -> None:
    """Simulates, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=5000)
    parser.add_argument("--only", choices=PARTS, help="one table alone")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results/decision.md")
    options = parser.parse_args()
    start, studies = time.process_time(), options.studies
    chosen = [options.only] if options.only else list(PARTS)
    lines = [
        "# Verdicts that are right",
        "",
        f"`python benchmarks/decision.py --studies {studies}`: {studies:,} drawn studies a cell, fewer with many "
        f"entries; one figure of 5 % has a standard error of {100 * (0.05 * 0.95 / studies) ** 0.5:.1f}, with 20 "
        f"entries {100 * (0.05 * 0.95 / studies * 2.5) ** 0.5:.1f}. Python {platform.python_version()}, NumPy "
        f"{version('numpy')}, SciPy {version('scipy')}. All figures are percent; the file says how studies are drawn.",
        "",
    ]
    for name in chosen:
        title, make = PARTS[name]
        lines += [f"## {title}", "", *make(studies)]
    print("\n".join(lines))
    print(f"{time.process_time() - start:.0f} s of CPU time", file=sys.stderr)
    if options.write:
        path = ROOT / "benchmarks" / "results" / "decision.md"
        path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
