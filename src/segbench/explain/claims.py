"""Claims about where an approach fails, as people make them, and what would have to show in the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from segbench.locale import Message, message

Direction: TypeAlias = Literal["worse when higher", "worse when lower"]


@dataclass(frozen=True, kw_only=True)
class Clue:
    """One attribute that a finding is about, and the direction it claims.

    Attributes:
        attribute: its name.
        direction: `worse when higher` or `worse when lower`.
    """

    attribute: str
    direction: Direction


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim about where an approach fails, as someone would say it.

    Attributes:
        sentence: the claim.
        clues: what would have to show; one that does, after correction, supports the claim.
    """

    sentence: Message
    clues: tuple[Clue, ...]


FINDINGS: dict[str, Finding] = {
    "fails on objects of several contrasting colours": Finding(
        sentence=message("it does worse on objects that have several contrasting colours"),
        clues=(
            Clue(attribute="dominant_colors", direction="worse when higher"),
            Clue(attribute="dominant_color_contrast", direction="worse when higher"),
            Clue(attribute="color_spread", direction="worse when higher"),
        ),
    ),
    "fails on small objects": Finding(
        sentence=message("it does worse on small objects"),
        clues=(Clue(attribute="object_share", direction="worse when lower"),),
    ),
    "fails on pale borders": Finding(
        sentence=message("it does worse where the object hardly differs from its surroundings"),
        clues=(Clue(attribute="border_contrast", direction="worse when lower"),),
    ),
    "fails on hair": Finding(
        sentence=message("it does worse on images with hair"),
        clues=(Clue(attribute="hair", direction="worse when higher"),),
    ),
    "fails on cut objects": Finding(
        sentence=message("it does worse on objects that reach the edge of the image"),
        clues=(Clue(attribute="touches_frame", direction="worse when higher"),),
    ),
    "fails on ragged objects": Finding(
        sentence=message("it does worse on objects of irregular outline"),
        clues=(Clue(attribute="compactness", direction="worse when lower"),),
    ),
    "fails on dark images": Finding(
        sentence=message("it does worse on dark images"),
        clues=(Clue(attribute="brightness", direction="worse when lower"),),
    ),
    "fails on blurred images": Finding(
        sentence=message("it does worse on blurred images"),
        clues=(Clue(attribute="blur", direction="worse when higher"),),
    ),
}
