"""How often intervals hold the truth and verdicts are right, in simulated studies whose truth is known.

python benchmarks/coverage.py [--studies 10000] [--write]

About five minutes on one core; `--write` puts the tables into benchmarks/results/coverage.md. The studies are those of
tests/statistics/_simulation.py, judged by the code of segbench.statistics. Seed SD is in standard errors that the
images alone give a difference of two entries: 1 means that one training is as uncertain as the sample of test images.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.special import digamma, polygamma

from segbench.statistics.variance import FloatArray, Parts

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "statistics"))

from _simulation import Outcome, Setting, bootstrap_coverage, ignore_seeds, simulate  # noqa: E402

SHAPES = ("mild", "strong")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Returns the lines of a Markdown table."""
    titles = list(head)
    lines = ["| " + " | ".join(titles) + " |", "| " + " | ".join("---" for _ in titles) + " |"]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def both(one: Outcome, other: Outcome, name: str) -> str:
    return f"{percent(getattr(one, name))}, {percent(getattr(other, name))}"


def shapes(studies: int, **setting: float) -> tuple[Outcome, Outcome]:
    """Returns the outcomes of both skewed shapes."""
    one, other = (simulate(Setting(shape=shape, **setting), studies) for shape in SHAPES)
    return one, other


def coverage(studies: int) -> list[str]:
    rows = []
    for entries in (2, 6):
        for seeds in (2, 3, 5):
            for images in (50, 200):
                found = [shapes(studies, entries=entries, seeds=seeds, images=images, seed_sd=sd) for sd in (0, 1, 2)]
                pairs, means = ([both(*each, name) for each in found] for name in ("pair", "mean"))
                rows.append([entries, seeds, images, *pairs, *means])
    head = ["entries", "seeds", "images", *(f"difference, seed SD {sd}" for sd in (0, 1, 2))]
    return table([*head, *(f"one mean, seed SD {sd}" for sd in (0, 1, 2))], rows)


def family(studies: int) -> list[str]:
    rows = []
    for entries in (2, 3, 4, 20):
        for seeds in (2, 3, 5):
            for images in (50, 200):
                count = studies if entries < 20 else studies // 4
                found = [shapes(count, entries=entries, seeds=seeds, images=images, seed_sd=sd) for sd in (0, 2)]
                rows.append([entries, seeds, images, *(both(*each, "family") for each in found)])
    return table(["entries", "seeds", "images", "seed SD 0", "seed SD 2"], rows)


def power(studies: int) -> list[str]:
    rows = []
    for entries in (2, 6, 20):
        for seeds in (2, 3, 5):
            found = [
                simulate(Setting(entries=entries, seeds=seeds, images=200, seed_sd=sd, ahead=3), studies // 4)
                for sd in (0, 1, 2)
            ]
            rows.append([entries, seeds, *(percent(each.found) for each in found)])
    return table(["entries", "seeds", "seed SD 0", "seed SD 1", "seed SD 2"], rows)


def other_ways(studies: int) -> list[str]:
    rows = []
    for sd in (0, 0.5, 1, 2):
        common = {"entries": 2, "images": 200, "seed_sd": sd}
        one = simulate(Setting(seeds=1, **common), studies)
        ignored = simulate(Setting(seeds=3, **common), studies, change=ignore_seeds)
        ours = simulate(Setting(seeds=3, **common), studies)
        plain = bootstrap_coverage(Setting(seeds=3, **common), studies // 5)
        rows.append([sd, *map(percent, (one.pair, ignored.pair, plain, ours.pair))])
    return table(["seed SD", "one seed", "three seeds, images only", "two-way bootstrap", "segbench"], rows)


def each_its_own(parts: Parts) -> Parts:
    """Returns parts in which every entry keeps its own seed variance."""
    df = np.ones(parts.seed_ms.shape) * (parts.seeds - 1)
    return replace(parts, used_ms=parts.seed_ms, used_df=df, shared=False)


def all_pooled(parts: Parts) -> Parts:
    """Returns parts in which all entries share one seed variance, whatever it is. Equal numbers of seeds."""
    pooled = parts.seed_ms.mean(axis=-1, keepdims=True) * np.ones(parts.seed_ms.shape)
    return replace(parts, used_ms=pooled, used_df=np.full(pooled.shape, float((parts.seeds - 1).sum())))


def moderated(parts: Parts) -> Parts:
    """Returns parts with the moderated variances of Smyth 2004, as limma has them. Equal numbers of seeds."""
    variances, df = parts.seed_ms, float(parts.seeds[0] - 1)
    logs = np.log(np.maximum(variances, 1e-5 * np.median(variances, axis=-1, keepdims=True)))
    logs = logs - digamma(df / 2) + np.log(df / 2)
    spread = logs.var(axis=-1, ddof=1, keepdims=True) - polygamma(1, df / 2)
    finite = spread > 0
    prior_df = 2 * _invert_trigamma(np.where(finite, spread, 1.0))
    prior = np.exp(logs.mean(axis=-1, keepdims=True) + digamma(prior_df / 2) - np.log(prior_df / 2))
    total = df * len(parts.seeds)
    pooled = variances.mean(axis=-1, keepdims=True)
    used = np.where(finite, (prior_df * prior + df * variances) / (prior_df + df), pooled)
    used_df = np.where(finite, np.minimum(prior_df + df, total), total) * np.ones(variances.shape)
    return replace(parts, used_ms=used, used_df=used_df)


def _invert_trigamma(value: FloatArray) -> FloatArray:
    """Returns x with trigamma(x) = value, by Newton's steps (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        here = polygamma(1, x)
        x = x + here * (1 - here / value) / polygamma(2, x)
    return np.asarray(x, np.float64)


def seed_variances(studies: int) -> list[str]:
    ways = {"each its own": each_its_own, "all pooled": all_pooled, "Smyth 2004": moderated, "segbench": None}
    rows = []
    for entries in (4, 6, 20):
        for seeds in (2, 3):
            count = studies if entries < 20 else studies // 4
            equal = Setting(entries=entries, seeds=seeds, images=200, seed_sd=2)
            shaky = Setting(entries=entries, seeds=seeds, images=200, seed_sd=1, unstable=4)
            for name, change in ways.items():
                one, other = simulate(equal, count, change=change), simulate(shaky, count, change=change)
                shown = map(percent, (one.family, other.family, other.first_pairs))
                rows.append([entries, seeds, name, *shown, f"{one.half_width:.2f}"])
    head = ["entries", "seeds", "seed variance", "a false difference", "the same, one unstable", "its differences"]
    return table([*head, "half width"], rows)


def unstable(studies: int) -> list[str]:
    rows = []
    for entries in (2, 6, 20):
        for seeds in (2, 3, 5):
            count = studies if entries < 20 else studies // 4
            found = simulate(Setting(entries=entries, seeds=seeds, images=50, seed_sd=1, unstable=4), count)
            others = "" if entries == 2 else percent(found.other_pairs)
            rows.append([entries, seeds, percent(found.first_pairs), others, percent(found.family)])
    return table(["entries", "seeds", "its differences", "other differences", "a false difference"], rows)


def special(studies: int) -> list[str]:
    cells = {
        "10 groups of 5 images, 2 entries": Setting(entries=2, seeds=3, images=50, seed_sd=1, groups=10),
        "10 groups of 5 images, 6 entries": Setting(entries=6, seeds=3, images=50, seed_sd=1, groups=10),
        "seeds that fail now and then, 2 entries": Setting(entries=2, seeds=3, images=50, seed_sd=2, skewed_seeds=True),
        "seeds that fail now and then, 6 entries": Setting(entries=6, seeds=3, images=50, seed_sd=2, skewed_seeds=True),
    }
    rows = []
    for name, setting in cells.items():
        found = simulate(setting, studies)
        rows.append([name, *map(percent, (found.pair, found.mean, found.family))])
    return table(["studies", "difference", "one mean", "a false difference"], rows)


def main() -> None:
    """Simulates, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="into benchmarks/results/coverage.md")
    options = parser.parse_args()
    start = time.perf_counter()
    studies = options.studies
    lines = [
        "# Coverage of the comparison",
        "",
        f"`python benchmarks/coverage.py --studies {studies}`: {studies:,} simulated studies a cell, a quarter of them "
        "with 20 entries, for power, and a fifth for the bootstrap. "
        f"Python {platform.python_version()}, NumPy {version('numpy')}, SciPy {version('scipy')}.",
        "All figures are percent; two in a cell are of the mild and of the strong skewness. One figure's own standard "
        f"error is about {100 * (0.05 * 0.95 / studies) ** 0.5:.1f} with {studies:,} studies and "
        f"{100 * (0.05 * 0.95 / studies * 4) ** 0.5:.1f} with a quarter. Seed SD is in standard errors that the images "
        "alone give a difference.",
        "",
        "## 95 % intervals that hold the truth",
        "",
        *coverage(studies),
        "## Equal entries: studies with a false difference, after Holm over all pairs (at most 5 wanted)",
        "",
        *family(studies),
        "## One entry ahead by 3 standard errors: its differences found after Holm (200 images, mild)",
        "",
        *power(studies),
        "## Other ways to make the interval of one difference (2 entries, 200 images, mild)",
        "",
        "With one seed, the row of seed SD 0 is also what these trained weights themselves get, whatever the seed SD.",
        "",
        *other_ways(studies),
        "## Other ways to use the seed variances (200 images, mild)",
        "",
        "Equal entries with seed SD 2: a false difference, and the median half width of an interval in true standard "
        "errors. One entry with 4 times the seed SD 1 of the others: a false difference, and its differences covered.",
        "",
        *seed_variances(studies),
        "## One entry with 4 times the seed SD of the others (50 images, seed SD 1, mild)",
        "",
        *unstable(studies),
        "## Groups, and seeds that fail",
        "",
        *special(studies),
    ]
    print("\n".join(lines))
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if options.write:
        path = ROOT / "benchmarks" / "results" / "coverage.md"
        path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
