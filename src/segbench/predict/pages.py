"""TIFF stacks: files of several pages, each a picture of its own."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from segbench.errors import DatasetError
from segbench.locale import message

_SUFFIXES = (".tif", ".tiff")
_NEW_SUBFILE_TYPE = 254  # tag of TIFF 6.0
_NO_PICTURE = 0b101  # its bits: a smaller copy of another page; a mask of another page


def pages_of(path: Path) -> tuple[int, ...]:
    """Returns the numbers, from 0, of the pages of a TIFF file that are pictures; none for a file of one page.

    Smaller copies (overviews) and masks of a page are not counted. Reads headers only; a file that cannot be read, or
    whose pages are too large to be opened, has none either, and whoever decodes it says why.
    """
    if path.suffix.lower() not in _SUFFIXES:
        return ()
    found = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("TIFF",)) as image:
                count = int(getattr(image, "n_frames", 1))
                for page in range(count if count > 1 else 0):
                    image.seek(page)
                    if not int(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)) & _NO_PICTURE:  # type: ignore[attr-defined]
                        found.append(page)
    except (Image.DecompressionBombError, UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return ()
    return tuple(found)


def open_page(path: Path, page: int) -> Image.Image:
    """Returns a page of a TIFF file, from 0, to be decoded and closed by whoever asked.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        image = Image.open(path, formats=("TIFF",))
        image.seek(page)
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError) as error:
        text = message("page {page} cannot be read; copy the file again", page=page + 1)
        raise DatasetError(text, path=path) from error
    return image
