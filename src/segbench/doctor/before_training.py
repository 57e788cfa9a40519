"""What is said before a training starts, of what can be told without opening a file."""

from __future__ import annotations

from segbench.data.manifest.manifest import Manifest
from segbench.doctor.finding import Severity
from segbench.doctor.run import fast_findings
from segbench.errors import shorten

# What spoils a comparison or a training; what else the doctor knows would be repeated before every run.
_TOLD = (
    "identical_images_across_parts",
    "near_images_across_parts",
    "groups_across_parts",
    "class_missing_in",
    "missing_classes",
    "full_masks",
    "same_image_other_mask",
    "inverted_masks",
    "some_inverted_masks",
    "unknown_values",
)


def fast_warnings(manifest: Manifest) -> list[str]:
    """Returns a line for each leak between parts and each class that cannot be learnt or scored, of a divided set."""
    lines = []
    for finding in fast_findings(manifest):
        if finding.severity is Severity.INFO or not finding.code.startswith(_TOLD):
            continue
        parts = [finding.title, shorten(finding.files, 3) if finding.files else "", finding.advice]
        lines.append(f"{finding.severity}: {'; '.join(part for part in parts if part)} (segbench data check)")
    return lines
