"""The doctor: looks for mistakes in a labelled data set, before anything is trained on it."""

from segbench.doctor.finding import Action, Checkup, Finding, Fix, Picture, Severity, sort_findings
from segbench.doctor.run import examine, fast_findings

__all__ = [
    "Action",
    "Checkup",
    "Finding",
    "Fix",
    "Picture",
    "Severity",
    "examine",
    "fast_findings",
    "sort_findings",
]
