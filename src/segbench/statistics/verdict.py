"""The comparison of K entries in one object: its numbers, and the sentences made of them."""

from __future__ import annotations

from dataclasses import dataclass

from segbench.locale import Message
from segbench.statistics import sentences as told
from segbench.statistics.outcome import MORE_IS_BETTER as MORE_IS_BETTER
from segbench.statistics.outcome import Needed as Needed
from segbench.statistics.outcome import Outcome
from segbench.statistics.outcome import Standing as Standing


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict(Outcome):
    """The outcome of a comparison, and the words for it."""

    def headline(self) -> Message:
        """Returns the outcome in a few words: the winner, or how many may be the best."""
        return told.headline(self)

    def sentences(self) -> list[Message]:
        """Returns the verdict in whole sentences, the outcome first, warnings last.

        The terminal, the Markdown report and the page say these, in this order where they stand together.
        """
        return [
            self.headline(),
            *told.best_sentences(self),
            *told.cheapest_sentences(self),
            *told.needed_sentences(self),
            *told.failure_sentences(self),
            *told.baseline_sentences(self),
            told.speaks_of_sentence(self),
            *self.warnings,
        ]
