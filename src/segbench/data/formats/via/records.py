"""What a file of VGG Image Annotator says, in one form for all its versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.errors import DatasetError
from segbench.types import SplitName


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region: its place in the file, and what the file says about its shape and its class, in version 2's words.

    Attributes:
        error: why it could not be read; None where nothing is wrong.
    """

    where: str
    shape: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    error: DatasetError | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """An image and its regions, as a file lists them; `key` is its place in the file."""

    name: str
    key: str
    regions: tuple[Region, ...]


@dataclass(frozen=True, kw_only=True)
class ViaFile:
    """One file: its images, and attribute of regions -> the values that its project allows -> their descriptions."""

    path: Path
    split: SplitName | None
    records: tuple[Record, ...]
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
