"""What `dataset.json` of the Medical Segmentation Decathlon and of nnU-Net says of classes and channels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.data.files.hints import set_option
from segbench.errors import DatasetError
from segbench.locale import message


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the file says; nothing where there is none.

    Attributes:
        classes: name -> label value; None where it names none.
        ignore: label values that count nowhere.
        channels: number -> what was measured.
        is_ct: the first channel is computed tomography, in Hounsfield units.
    """

    classes: Mapping[str, int] | None = None
    ignore: tuple[int, ...] = ()
    channels: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_ct(self) -> bool:
        """Whether the first channel is in Hounsfield units."""
        return self.channels.get(0, "").upper() == "CT"


def described(root: Path, *, named: bool) -> Described:
    """Returns what a data set's `dataset.json` says, of the Decathlon and of nnU-Net 1 and 2.

    Args:
        named: the classes are wanted too.

    Raises:
        DatasetError: it is damaged, or its classes share label values.
    """
    path = root / "dataset.json"
    if not path.is_file():
        return Described()
    try:
        plain = json.loads(path.read_text(encoding="utf-8-sig"))
        labels = plain.get("labels") or {}
        names = plain.get("channel_names") or plain.get("modality") or {}
        channels = {int(place): str(name) for place, name in names.items()}
        pairs = [_pair(key, value) for key, value in labels.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            message("cannot read the classes in it ({reason}); mend it, or move it away", reason=error), path=path
        ) from error
    values = {name: value for name, value in pairs if name.lower() != "ignore"}
    regions = {name: value for name, value in values.items() if isinstance(value, list)}
    if regions and named:
        singles = sorted(
            {item for value in values.values() for item in (value if isinstance(value, list) else [value])}
        )
        proposed = ", ".join(f"{'background' if item == 0 else f'class_{item}'}: {item}" for item in singles)
        raise DatasetError(
            message(
                "it describes {n} regions that share label values ({names}); name each value with {option}",
                n=len(regions),
                names=", ".join(regions),
                option=set_option("classes", f"{{{proposed}}}"),
            ),
            path=path,
        )
    if not named:
        return Described(channels=channels)
    return Described(
        classes={name: int(value) for name, value in values.items()} if len(values) > 1 else None,
        ignore=tuple(int(value) for name, value in pairs if name.lower() == "ignore"),
        channels=channels,
    )


def _pair(key: str, value: Any) -> tuple[str, Any]:
    """Returns (name, value): nnU-Net 2 writes `name: value`, the older ones `value: name`."""
    if key.strip().lstrip("-").isdigit() and isinstance(value, str):
        return value, int(key)
    if isinstance(value, list | tuple):
        return key, [int(item) for item in value] if len(value) > 1 else int(value[0])
    return key, int(value)
