"""The section of cost against quality."""

from __future__ import annotations

from functools import partial

from segbench.locale import message
from segbench.report.analysis import Analysis
from segbench.report.document import Bullets, Folded, Section
from segbench.report.figures import CostPoint, cost_plot
from segbench.report.labels import COST_AXIS
from segbench.report.pictures import Pictures
from segbench.report.sections.results import COSTS, cost_known, score_axis
from segbench.report.summary import numbered
from segbench.report.svg import Sketch


def costs_section(analysis: Analysis, sketch: Sketch, pictures: Pictures) -> Section | None:
    """Returns cost against score; None where no cost is known."""
    panels: dict[str, list[CostPoint]] = {}
    wanted = {"": analysis.evidence.higher_is_better}
    for cost in COSTS:
        if sum(cost_known(analysis, cost)) < 2:
            continue
        name = COST_AXIS[cost]
        wanted[name] = cost == "images_per_s"
        panels[name] = [
            CostPoint(
                name=str(analysis.number[standing.index]),
                cost=getattr(analysis.evidence.entries[standing.index].costs, cost)
                / (1e6 if cost == "parameters" else 1.0),
                value=standing.mean.value,
                low=standing.mean.low,
                high=standing.mean.high,
                strong=standing.index in analysis.verdict.may_be_best,
            )
            for standing in analysis.verdict.entries
        ]
    if not panels:
        return None
    axis = score_axis(analysis)
    drawing = sketch.draw(
        partial(cost_plot, panels, wanted, axis),
        message("Cost of every approach against its score"),
        message(
            "Numbers as in the table of results. Dashed: approaches that no other beats in both cost and "
            "mean. Times were measured on the machine below and hold for it."
        ),
    )
    names = [numbered(analysis, place) for place in analysis.order]
    called = Folded(title=message("Which number is which approach"), blocks=(Bullets(items=tuple(names)),))
    return Section(key="costs", title=message("Cost against quality"), blocks=(drawing, called))
