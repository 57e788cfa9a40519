"""How a data set is divided into train, val and test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer, model_validator

from segbench.config.base import Fraction, Positive, Section

# Keys that every config has had from the start. Those added later are written only where they mean something, so that
# a run trained before they existed keeps its fingerprint.
_FIRST_KEYS = frozenset(("method", "ratios", "counts", "val_frac", "seed", "stratify"))
_KEYS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"kfold": ("k", "fold"), "blocks": ("block", "gap"), "file": ("file",)}
)
_METHODS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "k": ("kfold",),
        "fold": ("kfold",),
        "keep_test": ("kfold",),
        "block": ("blocks", "kfold"),
        "gap": ("blocks", "kfold"),
        "file": ("file",),
        "stratify_by": ("auto", "official", "ratios", "blocks", "kfold", "file"),
    }
)


class SplitConfig(Section):
    """How samples are divided into train, val and test.

    Attributes:
        method: `auto` takes the data set's official lists when it has them, else `ratios`; `official` insists on the
            lists; `ratios` draws at random, groups kept together; `kfold` is one turn of a cross-validation; `blocks`
            draws runs of neighbouring ids (slices, frames); `file` takes the parts from a table; `permutation` is the
            PH2 homework's `numpy.random.seed(seed); choice(n, n, replace=False)` over the samples sorted by id.
        ratios: shares of train, val, test.
        counts: numbers of samples for train, val, test instead of `ratios`; needed by `permutation`.
        val_frac: share of the official training list that becomes val where the lists name none.
        seed: of the draw.
        stratify: keep the parts alike (not `permutation`).
        stratify_by: in what they are alike: `foreground`, the share of foreground, or `classes`, that and how many
            images hold each class. None means `classes` for `kfold`, `foreground` for the others.
        k, fold: kfold: number of folds, and which of them, from 0, is the test part; the next one is val. The folds
            are the same for each `fold`.
        keep_test: kfold: leave the data set's official test list out of the folds, untouched; where it has none, all
            samples are divided. False divides all of them anew.
        block: so many samples next to each other in natural order of ids stay together; needed by `blocks`.
        gap: samples left out wherever one part ends and another begins, so that the parts are no neighbours.
        file: CSV with the columns id and split (and group), or JSON or YAML with id: part or part: [ids]; relative to
            the current folder, or else to the data set's.
        group: regular expression with one group, searched in each id; what it captures stays together. An empty one
            forgets the groups that the data set has.
        group_file: CSV with the columns id and group, looked for like `file`.
        near_copies: what a draw does with pictures that look nearly the same (the doctor's near copies): `together`
            keeps them in one part, `apart` does not look. Blocks have a rule of their own.
    """

    method: Literal["auto", "official", "ratios", "kfold", "blocks", "file", "permutation"] = "auto"
    ratios: tuple[Fraction, Fraction, Fraction] = (0.7, 0.15, 0.15)
    counts: tuple[Positive, Positive, Positive] | None = None
    val_frac: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    stratify: bool = True
    stratify_by: Literal["foreground", "classes"] | None = None
    k: Annotated[int, Field(ge=3)] = 5
    fold: Annotated[int, Field(ge=0)] = 0
    keep_test: bool = False
    block: Annotated[int, Field(ge=2)] | None = None
    gap: Annotated[int, Field(ge=0)] = 0
    file: Annotated[str, Field(min_length=1)] | None = None
    group: str | None = None
    group_file: Annotated[str, Field(min_length=1)] | None = None
    near_copies: Literal["together", "apart"] = "together"

    @model_validator(mode="after")
    def _consistent(self) -> SplitConfig:
        if abs(sum(self.ratios) - 1.0) > 1e-6:
            raise ValueError(f"ratios must sum to 1, got {self.ratios}, which sum to {sum(self.ratios):g}")
        if min(self.ratios) <= 0.0:
            raise ValueError(f"every part needs a share above 0, got {self.ratios}")
        for key, example in (("counts", "[100, 50, 50]"), ("block", "10"), ("file", "split.csv")):
            method = {"counts": "permutation", "block": "blocks", "file": "file"}[key]
            if self.method == method and getattr(self, key) is None:
                raise ValueError(f"method {method} needs {key}, for example {key}: {example}")
        for key, methods in _METHODS_OF.items():
            if getattr(self, key) != type(self).model_fields[key].default and self.method not in methods:
                raise ValueError(f"{key} belongs to method {' or '.join(methods)}, got method {self.method}")
        return self

    @model_validator(mode="after")
    def _possible(self) -> SplitConfig:
        if self.fold >= self.k:
            raise ValueError(
                f"folds are counted from 0, so fold of k = {self.k} is at most {self.k - 1}, got {self.fold}"
            )
        if self.gap and (self.block is None or self.gap >= self.block):
            raise ValueError(f"gap must be smaller than block, got gap {self.gap} and block {self.block}")
        if self.group is not None and self.group_file is not None:
            raise ValueError("group and group_file both say what belongs together; leave one out")
        if self.group:
            try:
                groups = re.compile(self.group).groups
            except re.error as error:
                raise ValueError(f"group is not a regular expression: {self.group!r} ({error})") from error
            if groups != 1:
                raise ValueError(
                    f"group needs one group in the pattern, as in '^(patient\\d+)_', got {groups} in {self.group!r}"
                )
        return self

    @property
    def by_classes(self) -> bool:
        """Whether the parts are to be alike in which classes their images hold."""
        return self.stratify and (self.stratify_by or ("classes" if self.method == "kfold" else "")) == "classes"

    @model_serializer(mode="wrap")
    def _without_later_defaults(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        if info.mode != "json":
            return plain
        fields = type(self).model_fields
        shown = {*_FIRST_KEYS, *_KEYS_OF.get(self.method, ())}
        return {key: value for key, value in plain.items() if key in shown or getattr(self, key) != fields[key].default}
