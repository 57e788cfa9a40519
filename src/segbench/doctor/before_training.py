"""What is said before a training starts, of what can be told without opening a file."""

from __future__ import annotations

import json
from collections.abc import Collection

from segbench.data.files.hints import set_option
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.presence import remembered_pixels
from segbench.doctor.checks import all_codes
from segbench.doctor.finding import Severity
from segbench.doctor.run import fast_findings
from segbench.errors import DatasetError, shorten
from segbench.locale import listed, message, plural


def require_learnable(manifest: Manifest, allow: Collection[str] = ()) -> None:
    """Raises where the training part of a divided set cannot teach what the set is for.

    Masks that have to be opened to know what they hold are left to the training.

    Args:
        allow: see `segbench.config.run.DataConfig`.
    Raises:
        DatasetError: no mask shows anything but background, or no mask of the training part shows a class.
    """
    class_map, train = manifest.class_map, manifest.split("train")
    pixels = remembered_pixels(manifest, manifest.samples)
    if any(sample.id not in pixels for sample in train):
        return
    shown = {index for sample in train for index, number in pixels[sample.id].items() if number}
    wanted = [index for index in class_map.scored_classes if index != class_map.background]
    missing = [index for index in wanted if index not in shown]
    elsewhere = {index for counts in pixels.values() for index, number in counts.items() if number}
    if wanted and not elsewhere & set(wanted) and len(pixels) == len(manifest):
        if "empty_masks" not in allow:
            raise DatasetError(
                message(
                    "no mask shows {names}, so there is nothing to learn: look at the masks with `segbench data show`, "
                    "check the classes and their values, or train all the same with data.allow: [empty_masks]",
                    names=listed([class_map.names[index] for index in wanted], 6),
                ),
                path=manifest.root,
            )
        return
    if missing and "missing_classes" not in allow:
        names = [name for place, name in enumerate(class_map.names) if place in shown and place != class_map.background]
        written = json.dumps(names, ensure_ascii=False)
        drawn = any(sample.mask_key for sample in train)  # masks that are files name their values, which stay
        keep = (
            message("keep the others with {option}", option=set_option("classes", written))
            if drawn and len(names) > 1
            else message("leave them out of `classes`")
        )
        raise DatasetError(
            plural(
                "the training part ({images} images) never shows {names}, which cannot be learned from it; {keep}, "
                "divide anew so that training has it, or train all the same with data.allow: [missing_classes]",
                "the training part ({images} images) never shows {n} classes, which cannot be learned from it: "
                "{names}; {keep}, divide anew so that training has them, or train all the same with data.allow: "
                "[missing_classes]",
                n=len(missing),
                images=len(train),
                keep=keep,
                names=listed([class_map.names[index] for index in missing], 12),
            ),
            path=manifest.root,
        )


def fast_warnings(manifest: Manifest) -> list[str]:
    """Returns a line for each leak between parts and each class that cannot be learnt or scored, of a divided set."""
    lines, codes = [], all_codes()
    for finding in fast_findings(manifest):
        if finding.severity is Severity.INFO or not codes[finding.code][1].before_training:
            continue
        parts = [finding.title, shorten(finding.files, 3) if finding.files else "", finding.advice]
        lines.append(f"{finding.severity}: {'; '.join(part for part in parts if part)} (segbench data check)")
    return lines
