"""What all names of images, and all names of masks, have in common beside what tells one sample from another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Rename = Callable[[str], str]

_SEPARATORS = "_-. /"


@dataclass(frozen=True)
class Affix:
    """A piece that stands in every name.

    Attributes:
        far: characters between it and the name's beginning, or its end where it is not in `front`.
    """

    text: str
    far: int
    front: bool

    def cut(self, name: str) -> str:
        """Returns the name without the piece."""
        start = self.far if self.front else len(name) - self.far - len(self.text)
        return name[:start] + name[start + len(self.text) :]

    def backwards(self) -> Affix:
        """Returns the piece of the name read from its end."""
        return Affix(self.text[::-1], self.far, not self.front)


@dataclass(frozen=True)
class Affixes:
    """The pieces that the names of one side have beyond those of the other."""

    pieces: tuple[Affix, ...]

    def cut(self, name: str) -> str:
        """Returns the name without the pieces."""
        for piece in self.pieces:
            name = piece.cut(name)
        return name

    @property
    def texts(self) -> tuple[str, ...]:
        """The pieces themselves."""
        return tuple(piece.text for piece in self.pieces)


def common_affixes(images: Sequence[str], masks: Sequence[str]) -> tuple[Affixes, Affixes] | None:
    """Returns what to cut from images' and from masks' names so that all agree; None where they do not.

    What all names of a side have in front and at the end is compared with that of the other side: only where the
    remainders are the same names, one for one, and no number or word is torn apart, is there nothing to decide.
    """
    if len(images) != len(masks) or len(images) < 2:
        return None
    front = _differing(_front(images), _front(masks), front=True)
    back = _differing(_back(images), _back(masks), front=False)
    if any(a.text and b.text and _letters(a.text) == _letters(b.text) for a, b in (front, back)):
        return None  # `2020_1` and `2021_1` are of two years
    sides = []
    for place, names in enumerate((images, masks)):
        pieces = tuple(pair[place] for pair in (front, back) if pair[place].text)
        if any(_tears(piece, name) for piece in pieces for name in names):
            return None
        sides.append(Affixes(pieces))
    left, right = sides
    cut = {left.cut(name) for name in images}
    if len(cut) < len(images) or cut != {right.cut(name) for name in masks} or "" in cut:
        return None
    return left, right


def _front(names: Sequence[str]) -> str:
    first, last = min(names), max(names)  # what these two share, all between them share
    return first[: next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _back(names: Sequence[str]) -> str:
    """Returns the common end of what stands behind the common front."""
    start = len(_front(names))
    return _front([name[start:][::-1] for name in names])[::-1]


def _differing(left: str, right: str, *, front: bool) -> tuple[Affix, Affix]:
    """Returns the pieces in which two common fronts, or two common ends, differ."""
    if not front:  # an end is the front of the name read backwards
        pieces = _differing(left[::-1], right[::-1], front=True)
        return pieces[0].backwards(), pieces[1].backwards()
    near = _common_end(left, right)  # beside what tells samples apart
    far = _front([left, right])[: min(len(left), len(right)) - len(near)]
    while near and any(_torn(text[: len(text) - len(near)][-1:], near[0]) for text in (left, right)):
        near = near[1:]
    while far and any(_torn(far[-1], text[len(far) :][:1]) for text in (left, right)):
        far = far[:-1]
    between = min(len(left), len(right)) - len(near) - len(far)  # characters of the shorter piece
    if near and near[0] in _SEPARATORS and far[-1:] in ("", "/") and between:
        near = near[1:]  # `img_1`, `gt_1`: the separator belongs to both pieces
    middle = [text[len(far) : len(text) - len(near)] for text in (left, right)]
    return Affix(middle[0], len(far), front=True), Affix(middle[1], len(far), front=True)


def _common_end(left: str, right: str) -> str:
    return _front([left[::-1], right[::-1]])[::-1]


def _tears(piece: Affix, name: str) -> bool:
    """Returns whether cutting the piece would tear a number or a word of the name apart."""
    start = piece.far if piece.front else len(name) - piece.far - len(piece.text)
    return any(
        0 < place < len(name) and _torn(name[place - 1], name[place]) for place in (start, start + len(piece.text))
    )


def _torn(before: str, after: str) -> bool:
    return (before.isdigit() and after.isdigit()) or (before.islower() and after.islower())


def _letters(text: str) -> str:
    return "".join(char for char in text if not char.isdigit())
