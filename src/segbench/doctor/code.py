"""What a check may find: each kind of mistake has a code, how much it matters, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from segbench.data.files.hints import said_again
from segbench.doctor.finding import Finding, Fix, Picture, Severity
from segbench.doctor.reading import Case, Reading
from segbench.locale import Message, join


@dataclass(frozen=True)
class Title:
    """The sentence of a mistake with places for its numbers: both texts are literals, so that the catalogue has them.

    Attributes:
        template: English, with `{name}` where a value comes; where it counts, for one.
        plural_template: for every `n` but 1; empty where the sentence does not count.
        known: values that are the same in every case.
    """

    template: str
    plural_template: str = ""
    known: Mapping[str, str] = field(default_factory=dict, hash=False)

    def filled(self, **values: Any) -> Message:
        """Returns the sentence with its values; KeyError where one is missing."""
        n = values["n"] if self.plural_template else None
        return Message(self.template, {**self.known, **values}, self.plural_template or None, n)

    def pattern(self) -> str:
        """Returns the sentence as the documentation shows it: N for the number, `...` for other values."""
        shown = {"": "", "n": "N", **self.known}
        parts = Formatter().parse(self.plural_template or self.template)
        return "".join(text + shown.get(name or "", "...") for text, name, _, _ in parts)


@dataclass(frozen=True)
class Code:
    """One kind of mistake.

    Attributes:
        name: short and stable (`lossy_mask_values`); its address in docs/reference/checks.md too.
        severity: see `Severity`.
        title: the sentence, with the numbers of the case.
        means: why that matters, or how it comes about.
        advice: what to do, unless the case asks for something else.
        otherwise: the severity it has in some cases.
        when: which cases.
        before_training: it spoils a training or a comparison, so it is said before every training.
    """

    name: str
    severity: Severity
    title: Title
    _: KW_ONLY
    means: Message
    advice: Message
    otherwise: Severity | None = None
    when: Message | None = None
    before_training: bool = False

    def finding(
        self,
        *,
        count: int,
        detail: str = "",
        advice: str | None = None,
        otherwise: bool = False,
        files: tuple[str, ...] = (),
        pictures: tuple[Picture, ...] = (),
        fixes: tuple[Fix, ...] = (),
        **values: Any,
    ) -> Finding:
        """Returns what was found.

        Args:
            count: how often; also `n` of the title where `values` have none.
            detail: numbers and files of the case; what it means goes before them.
            advice: what to do in this case; None means as always.
            otherwise: the case is one of those that `when` names.
            files, pictures, fixes: see `Finding`.
            values: of the title.
        """
        assert self.otherwise is not None or not otherwise, f"{self.name} has one severity"
        return Finding(
            code=self.name,
            severity=self.otherwise if otherwise and self.otherwise is not None else self.severity,
            title=self.title.filled(**{"n": count, **values}),
            count=count,
            files=files,
            detail=join(" ", [part for part in (self.means, detail) if part]),
            advice=said_again(self.advice) if advice is None else advice,
            pictures=pictures,
            fixes=fixes,
        )

    def about(self, reading: Reading, paths: Iterable[Path], *, count: int | None = None, **more: Any) -> Finding:
        """Returns what was found in files below the reading's root; `count` is their number unless it is given."""
        files = reading.names(paths)
        return self.finding(count=len(files) if count is None else count, files=files, **more)

    def about_cases(self, reading: Reading, cases: Sequence[Case], *, count: int | None = None, **more: Any) -> Finding:
        """Returns what was found in labels: names the files to be mended, and shows some of the cases."""
        return self.about(
            reading,
            (reading.label_file(case) for case in cases),
            count=len(cases) if count is None else count,
            pictures=reading.overlays(cases),
            **more,
        )
