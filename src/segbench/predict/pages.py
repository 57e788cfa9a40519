"""TIFF stacks: files of several pages, each a picture of its own."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from segbench.errors import DatasetError
from segbench.locale import message

_SUFFIXES = (".tif", ".tiff")
_NEW_SUBFILE_TYPE = 254  # tag of TIFF 6.0
_NO_PICTURE = 0b101  # its bits: a smaller copy of another page; a mask of another page

_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error)  # what Pillow raises of a broken file


def pages_of(path: Path) -> tuple[int, ...]:
    """Returns the numbers, from 0, of the pages of a TIFF file that are pictures; none for a file of one page.

    Smaller copies (overviews) and masks of a page are not counted. Of a stack that is cut off, the page whose header is
    damaged is the last. Reads headers only; a file that cannot be read, or whose pages are too large to be opened, has
    none either, and whoever decodes it says why.
    """
    if path.suffix.lower() not in _SUFFIXES:
        return ()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about size and damage
            with Image.open(path, formats=("TIFF",)) as image:
                return _pictures(image)
    except (Image.DecompressionBombError, UnidentifiedImageError, *_DAMAGE):
        return ()


def _pictures(image: Image.Image) -> tuple[int, ...]:
    found: list[int] = []
    page = 0
    while True:
        try:
            image.seek(page)
        except EOFError:
            return tuple(found) if page > 1 else ()
        except _DAMAGE:
            return (*found, page) if page else ()
        if not int(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)) & _NO_PICTURE:  # type: ignore[attr-defined]
            found.append(page)
        page += 1


@contextmanager
def open_page(path: Path, page: int) -> Iterator[Image.Image]:
    """Yields a page of a TIFF file, from 0, to be decoded.

    Raises:
        DatasetError: it cannot be read.
    """
    with path.open("rb") as stream:  # which Pillow leaves open where a page is damaged
        try:
            image = Image.open(stream, formats=("TIFF",))
            image.seek(page)
        except (Image.DecompressionBombError, EOFError, *_DAMAGE) as error:
            text = message("page {page} cannot be read; copy the file again", page=page + 1)
            raise DatasetError(text, path=path) from error
        yield image
