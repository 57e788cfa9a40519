"""A verdict for a paper: a table, a paragraph of methods and the sources, as LaTeX.

The table needs `\\usepackage{booktabs}`; everything is UTF-8 and in English, whatever language a report is in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segbench.errors import ConfigError
from segbench.files import write_text
from segbench.locale import Numbers
from segbench.speech import argument
from segbench.statistics.datasets import DatasetsView
from segbench.statistics.differences import Estimate
from segbench.statistics.verdict import Verdict

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",  # a straight one needs another font encoding
    "\u2212": "$-$",
    "\u2013": "--",
    "\u2014": "---",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u00d7": r"$\times$",
    "\u00b1": r"$\pm$",
    "\u2264": r"$\le$",
    "\u2265": r"$\ge$",
    "\u2026": r"\ldots{}",
}

# Key -> BibTeX entry; what the methods cite, and nothing else, is written.
SOURCES: Mapping[str, str] = {
    "searle1992variance": """@book{searle1992variance,
  author = {Searle, Shayle R. and Casella, George and McCulloch, Charles E.},
  title = {Variance Components},
  publisher = {Wiley},
  year = {1992}
}""",
    "satterthwaite1946": """@article{satterthwaite1946,
  author = {Satterthwaite, F. E.},
  title = {An Approximate Distribution of Estimates of Variance Components},
  journal = {Biometrics Bulletin},
  volume = {2},
  number = {6},
  pages = {110--114},
  year = {1946}
}""",
    "bouthillier2021variance": """@inproceedings{bouthillier2021variance,
  author = {Bouthillier, Xavier and Delaunay, Pierre and Bronzi, Mirko and Trofimov, Assya and others},
  title = {Accounting for Variance in Machine Learning Benchmarks},
  booktitle = {Proceedings of Machine Learning and Systems},
  volume = {3},
  year = {2021}
}""",
    "bellmccaffrey2002": """@article{bellmccaffrey2002,
  author = {Bell, Robert M. and McCaffrey, Daniel F.},
  title = {Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples},
  journal = {Survey Methodology},
  volume = {28},
  number = {2},
  pages = {169--181},
  year = {2002}
}""",
    "hungfithian2019": """@article{hungfithian2019,
  author = {Hung, Kenneth and Fithian, William},
  title = {Rank Verification for Exponential Families},
  journal = {The Annals of Statistics},
  volume = {47},
  number = {2},
  pages = {758--782},
  year = {2019}
}""",
    "hsu1984constrained": """@article{hsu1984constrained,
  author = {Hsu, Jason C.},
  title = {Constrained Simultaneous Confidence Intervals for Multiple Comparisons with the Best},
  journal = {The Annals of Statistics},
  volume = {12},
  number = {3},
  pages = {1136--1144},
  year = {1984}
}""",
    "holm1979": """@article{holm1979,
  author = {Holm, Sture},
  title = {A Simple Sequentially Rejective Multiple Test Procedure},
  journal = {Scandinavian Journal of Statistics},
  volume = {6},
  number = {2},
  pages = {65--70},
  year = {1979}
}""",
    "schuirmann1987": """@article{schuirmann1987,
  author = {Schuirmann, Donald J.},
  title = {A Comparison of the Two One-Sided Tests Procedure and the Power Approach for Assessing the Equivalence of
    Average Bioavailability},
  journal = {Journal of Pharmacokinetics and Biopharmaceutics},
  volume = {15},
  number = {6},
  pages = {657--680},
  year = {1987}
}""",
    "demsar2006": """@article{demsar2006,
  author = {Dem{\\v{s}}ar, Janez},
  title = {Statistical Comparisons of Classifiers over Multiple Data Sets},
  journal = {Journal of Machine Learning Research},
  volume = {7},
  pages = {1--30},
  year = {2006}
}""",
    "nadeaubengio2003": """@article{nadeaubengio2003,
  author = {Nadeau, Claude and Bengio, Yoshua},
  title = {Inference for the Generalization Error},
  journal = {Machine Learning},
  volume = {52},
  number = {3},
  pages = {239--281},
  year = {2003}
}""",
    "bates2023cross": """@article{bates2023cross,
  author = {Bates, Stephen and Hastie, Trevor and Tibshirani, Robert},
  title = {Cross-Validation: What Does It Estimate and How Well Does It Do It?},
  journal = {Journal of the American Statistical Association},
  volume = {119},
  number = {546},
  pages = {1434--1445},
  year = {2024}
}""",
}


def escape(text: str) -> str:
    """Returns a text as LaTeX shows it letter by letter.

    Example:
        >>> print(escape("unet_nearest | dice & bce 50 %"))
        unet\\_nearest \\textbar{} dice \\& bce 50 \\%
    """
    return "".join(_ESCAPED.get(letter, letter) for letter in re.sub(r"[ \t\r\n]+", " ", text))


def write_latex(
    folder: str | Path,
    verdicts: Sequence[Verdict],
    *,
    across: DatasetsView | None = None,
    definition: str = "",
    data: str = "",
) -> list[Path]:
    """Writes results.tex, methods.tex and references.bib, and returns their paths.

    Args:
        folder: made where it is missing.
        verdicts: one; or one for every data set.
        across: over the data sets, where there are several.
        definition: of the score, a sentence.
        data: what the images are: the data set, the size they were compared at; a part of a sentence.
    Raises:
        ConfigError: the path is a file.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ConfigError(f"expected a folder to write into, got the file {folder}", key=argument("latex"))
    methods = methods_paragraph(verdicts[0], across=across, definition=definition, data=data)
    cited = cited_keys(methods)
    written = {
        "results.tex": results_table(verdicts[0]) if across is None else datasets_table(across, verdicts[0].score),
        "methods.tex": methods + "\n",
        "references.bib": "\n\n".join(SOURCES[key] for key in cited) + "\n",
    }
    for name, text in written.items():
        write_text(folder / name, text)
    return [folder / name for name in written]


def cited_keys(text: str) -> list[str]:
    """Returns the keys that a LaTeX text cites, in the order of their first use."""
    found = (key.strip() for group in re.findall(r"\\cite[tp]?\{([^}]*)\}", text) for key in group.split(","))
    return list(dict.fromkeys(found))


def results_table(verdict: Verdict) -> str:
    """Returns the table of one data set: mean, interval, ranks and seeds of every entry, the best mean first."""
    numbers = verdict.numbers
    rows = []
    for standing in verdict.entries:
        low, high = verdict.ranks[standing.index]
        mean = numbers.score(standing.mean.value)
        name = escape(standing.name)
        shown = rf"\textbf{{{escape(mean)}}}" if standing.index in verdict.may_be_best else escape(mean)
        rows.append(
            [
                name,
                shown,
                escape(numbers.ends(standing.mean.low, standing.mean.high)),
                str(low) if low == high else f"{low}--{high}",
                str(standing.seeds),
                f"{verdict.n_images}",
            ]
        )
    caption = (
        f"{escape(verdict.score)} ({_direction(verdict.higher_is_better)}): mean over images and seeds with its "
        f"{_percent(verdict.level)} interval, the ranks each approach may have, trainings (seeds) and test images "
        f"($n$). Bold: {_bold(verdict)}."
    )
    head = ["Approach", "Mean", f"{_percent(verdict.level)} interval", "Ranks", "Seeds", "$n$"]
    return _table("lrlrrr", head, rows, caption, "tab:results")


def datasets_table(view: DatasetsView, score: str) -> str:
    """Returns the table over data sets: the mean on each, mean over all, mean rank, and how far behind the best."""
    numbers = view.numbers
    rows = []
    for index in view.order:
        means = []
        for place, verdict in enumerate(view.verdicts):
            mean = escape(numbers.score(float(view.means[place, index])))
            means.append(rf"\textbf{{{mean}}}" if index in verdict.may_be_best else mean)
        behind = "" if index == view.best else _behind(view.lead(index), numbers)
        overall = escape(numbers.score(float(view.means[:, index].mean())))
        rows.append([escape(view.names[index]), *means, overall, f"{view.mean_ranks[index]:.2f}", behind])
    caption = (
        f"{escape(score)} ({_direction(view.higher_is_better)}) on {len(view.datasets)} data sets. Bold: may be the "
        f"best on that data set. Behind the best: difference from {escape(view.names[view.best])} over the data sets, "
        f"with the {_percent(view.level)} interval for other data sets of the kind."
    )
    head = ["Approach", *map(escape, view.datasets), "Mean", "Mean rank", "Behind the best"]
    return _table("l" + "r" * (len(view.datasets) + 2) + "l", head, rows, caption, "tab:datasets")


def methods_paragraph(
    verdict: Verdict, *, across: DatasetsView | None = None, definition: str = "", data: str = ""
) -> str:
    """Returns what was done, as one paragraph with citations: nothing is named that was not."""
    told = [_sample(verdict, across, data)]
    if definition:
        told.append(_sentence(escape(definition)))
    told += [_intervals(verdict), *_folds(verdict), _decision(verdict, has_ranks=across is None)]
    if verdict.look is not None and verdict.look.planned > 1:
        told.append(
            f"This was look {verdict.look.number} of {verdict.look.planned} planned; each used the level "
            f"{verdict.look.alpha:.2g}, so that all together are wrong in at most 5\\,\\%."
        )
    if across is not None:
        told += _over_sets(across)
    told.append("Computed with segbench.")
    return "\n".join(_one_a_line(told))


def _sample(verdict: Verdict, across: DatasetsView | None, data: str) -> str:
    seeds = sorted({standing.seeds for standing in verdict.entries})
    trainings = "once" if seeds == [1] else f"with {_span(seeds)} random seeds each"
    where = f" ({escape(data)})" if data else ""
    if across is not None:
        images = _span(sorted({each.n_images for each in across.verdicts}))
        return (
            f"{len(verdict.names)} approaches were compared on {len(across.datasets)} data sets of {images} test "
            f"images each{where}, trained {trainings} on every data set."
        )
    grouped = f" in {verdict.n_units} groups" if verdict.unit == "groups" else ""
    return (
        f"{len(verdict.names)} approaches, trained {trainings}, were compared on the same {verdict.n_images} test "
        f"images{grouped}{where}."
    )


def _intervals(verdict: Verdict) -> str:
    unit = "groups of images" if verdict.unit == "groups" else "images"
    unequal = (
        r" (unequal groups: degrees of freedom after~\cite{bellmccaffrey2002})" if verdict.unit == "groups" else ""
    )
    if verdict.speaks_of == "these trained weights":
        return (
            f"Intervals are two-sided {_percent(verdict.level)} $t$ intervals over {unit}{unequal}. With one training "
            "each, they and all statements speak of these trained weights on other images of the kind, not of the "
            "approaches trained again."
        )
    return (
        f"Scores were analysed as a crossed table of seeds and {unit}~\\cite{{searle1992variance}}; intervals are "
        f"two-sided {_percent(verdict.level)} $t$ intervals with Satterthwaite's degrees of "
        f"freedom~\\cite{{satterthwaite1946}}{unequal}, and speak of the approaches trained again with other seeds, on "
        "other images of the kind~\\cite{bouthillier2021variance}."
    )


def _folds(verdict: Verdict) -> list[str]:
    if verdict.fold_factor == 1.0:
        return []
    return [
        "Every image was scored by trainings on the other folds of a cross-validation. These share most of their "
        f"images, so the images' part of the variance is multiplied by "
        f"{verdict.fold_factor:.3g}~\\cite{{nadeaubengio2003,bates2023cross}}."
    ]


def _decision(verdict: Verdict, *, has_ranks: bool) -> str:
    adjusted = "Differences of pairs and the ranks in the table" if has_ranks else "Differences of pairs"
    alpha = 1 - verdict.level if verdict.look is None else verdict.look.alpha
    told = (
        f"The best mean is named the best where a two-sided test at {alpha:.2g} against every other approach says so "
        "(rank verification)~\\cite{hungfithian2019}; approaches that one-sided comparisons with the best cannot "
        f"exclude may be the best~\\cite{{hsu1984constrained}}. {adjusted} are adjusted over all pairs after "
        "Holm~\\cite{holm1979}."
    )
    if verdict.margin is None:
        return told
    return (
        f"{told} A difference of less than {verdict.margin:g} was taken not to matter in practice; whether approaches "
        "are equivalent, or not worse, was tested by two one-sided tests~\\cite{schuirmann1987}."
    )


def _over_sets(view: DatasetsView) -> list[str]:
    sets = len(view.datasets)
    told = [
        f"Over data sets, which count alike, the interval of a difference is a $t$ interval over the {sets} data sets "
        f"({sets - 1} degrees of freedom), and speaks of other data sets of the kind."
    ]
    if not math.isnan(view.friedman_p):
        told.append(
            "Mean ranks were compared by Friedman's test in the form of Iman and Davenport "
            f"({escape(view.numbers.p_is(view.friedman_p))}) and Nemenyi's critical difference "
            f"({view.critical_difference:.2f})~\\cite{{demsar2006}}."
        )
    return told


def _behind(lead: Estimate, numbers: Numbers) -> str:
    return escape(numbers.between(-lead.value, -lead.high, -lead.low, signed=True))


def _table(columns: str, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    lines = [" & ".join(row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption}}}",
            rf"  \label{{{label}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {' & '.join(head)} " + r"\\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _bold(verdict: Verdict) -> str:
    if verdict.winner is not None:
        return "shown to be the best"
    if verdict.ahead is not None:
        return "scored highest on these trained weights"
    return "may be the best"


def _direction(higher_is_better: bool) -> str:
    return "higher is better" if higher_is_better else "lower is better"


def _percent(level: float) -> str:
    return rf"{100 * level:g}\,\%"


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]}--{counts[-1]}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _one_a_line(sentences: Sequence[str]) -> list[str]:
    """Returns the sentences, one a line, as version control of a paper likes them."""
    return [" ".join(sentence.split()) for sentence in sentences]
