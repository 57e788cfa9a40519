"""What the docstrings of config sections say about their keys: for the reference and for the form of a new training."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel


def section_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Returns the section that stands behind a key, also that of a list's items; None where none does."""
    annotation = model.model_fields[key].annotation
    candidates = [annotation, *get_args(annotation)]
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)


def summary_of(model: type[BaseModel]) -> str:
    """Returns the first paragraph of a section's docstring, in one line."""
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Returns key -> what the section's docstring says about it, in one line.

    Example:
        >>> from segbench.config.run import OptimizerConfig
        >>> meanings(OptimizerConfig)["momentum"]
        'sgd only.'
    """
    return dict(_entries(inspect.getdoc(model) or ""))


def _entries(doc: str) -> Iterator[tuple[str, str]]:
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", doc, re.MULTILINE)
    lines = re.finditer(r"^    (\S[^:\n]*): ((?:.*\n?)(?:^ {8}.*\n?)*)", section[1] if section else "", re.MULTILINE)
    for found in lines:
        for name in found[1].split(","):
            yield name.strip(), " ".join(found[2].split())
