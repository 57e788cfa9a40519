"""What is said before a training starts, of what can be told without opening a file."""

from __future__ import annotations

from segbench.data.manifest.manifest import Manifest
from segbench.doctor.checks import all_codes
from segbench.doctor.finding import Severity
from segbench.doctor.run import fast_findings
from segbench.errors import shorten


def fast_warnings(manifest: Manifest) -> list[str]:
    """Returns a line for each leak between parts and each class that cannot be learnt or scored, of a divided set."""
    lines, codes = [], all_codes()
    for finding in fast_findings(manifest):
        if finding.severity is Severity.INFO or not codes[finding.code][1].before_training:
            continue
        parts = [finding.title, shorten(finding.files, 3) if finding.files else "", finding.advice]
        lines.append(f"{finding.severity}: {'; '.join(part for part in parts if part)} (segbench data check)")
    return lines
