"""Is an approach right as often as it is sure? The bins that runs keep, all seeds together."""

from __future__ import annotations

from segbench.compare.evidence import Entry, Evidence
from segbench.compare.gather import scored_part
from segbench.metrics.calibration import Calibration


def calibration_curves(evidence: Evidence) -> dict[int, Calibration]:
    """Returns place in `evidence.entries` -> its bins of confidence over the test part, the runs' pixels together.

    Runs keep the bins of the size they were trained at, over their whole test part; where the comparison is at another
    size, or masks came from another tool, or a run has no `calibration_test.csv`, the entry is not there. Its mean
    `confidence` against `accuracy` is the reliability diagram (`segbench.plots.confusion.reliability_diagram`).

    Raises:
        RunError: the bins of a run are damaged.
    """
    found = {}
    for place, entry in enumerate(evidence.entries):
        parts = _parts_of(evidence, entry)
        if parts:
            found[place] = Calibration.merge(parts)
    return found


def _parts_of(evidence: Evidence, entry: Entry) -> list[Calibration]:
    """Returns the bins of every run; none where one of them has none."""
    files = [run.table_file("calibration", scored_part(run, evidence.size)) for run in entry.runs]
    if not all(file.is_file() for file in files):
        return []
    n_images = len(evidence.ids) + len(evidence.left_out)
    return [Calibration.read_csv(file, n_images=n_images, task=evidence.class_map.task) for file in files]
