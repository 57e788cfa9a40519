"""Pixels out of image and mask files: PNG, JPEG, BMP, TIFF, WebP, GIF, HEIC, recognised by content, never by name.

EXIF orientation is applied, to images and masks alike. A file that cannot be read whole is refused with a reason;
nothing is guessed, half-decoded or silently rescaled.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,  # noqa: F401  # Image.open(formats=...) knows only the formats imported before
    ExifTags,
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
    _imaging,
)

from segbench.data.files.hints import set_format, set_option
from segbench.data.files.orientation import oriented
from segbench.errors import DatasetError
from segbench.locale import Message, message, plural, quoted
from segbench.types import RGB

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF")  # JPEG opens MPO too: JPEG with previews behind

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")  # as ISO 23008-12 has them
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how TIFF and BigTIFF begin
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")  # of Pillow, with transparency
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error, zlib.error)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323  # tags of TIFF 6.0
_COUNTED_BYTES = 1 << 17  # of a file whose frames are counted, to tell how many there are
_DARKEST = 0.1  # per cent of the pixels at either end of the scale, which hot pixels may be
if not _imaging.get_blocks_max():  # or as the environment variable PILLOW_BLOCKS_MAX says
    _imaging.set_blocks_max(4)  # of 16 MB are kept for the next image; asking the system each time costs a tenth
_open_lock = threading.Lock()  # warnings.catch_warnings changes global state; headers are read one at a time


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What can be told without decoding: height and width in pixels after EXIF orientation, SHA-256 of the bytes."""

    height: int
    width: int
    sha256: str


def image_facts(path: str | Path) -> ImageFacts:
    """Returns size and hash of an image or mask file; reads the header only.

    Raises:
        DatasetError: missing, no image, more than one frame, or too large to open.
    """
    with _opened(path, None) as (image, data):
        width, height = image.size
        if _orientation(image, data) >= 5:
            width, height = height, width
    return ImageFacts(height=height, width=width, sha256=hashlib.sha256(data).hexdigest())


def image_size(data: bytes) -> tuple[int, int]:
    """Returns (height, width) in pixels of what is decoded of an image file's bytes; reads the header only.

    That is the image, as it is stored; of a TIFF file in tiles a tile at least, however small the image is.

    Raises:
        DatasetError: no image, more than one frame, or too large to open.
    """
    with _opened("image", data) as (image, _):
        tags = getattr(image, "tag_v2", {})
        height, width = (int(tags.get(tag, 0)) for tag in (_TILE_HEIGHT, _TILE_WIDTH))
        return max(image.height, height), max(image.width, width)


def read_image(
    path: str | Path,
    *,
    depth_range: tuple[float, float] | None = None,
    notes: list[str] | None = None,
    data: bytes | None = None,
) -> NDArray[np.uint8]:
    """Returns an image as (H, W, 3) uint8 RGB.

    Args:
        depth_range: grey values (low, high) that become 0 and 255 in an image of more than 8 bit, linearly, clipped;
            8-bit images are not changed by it.
        notes: what a careful reader would want to know is appended here (transparency laid over black).
        data: the file's bytes, when they have been read already.
    Raises:
        DatasetError: missing, no image, damaged, several frames, too large, or more than 8 bit without `depth_range`.
    """
    return rgb_pixels(decode_image(path, depth_range=depth_range, notes=notes, data=data)[0])


def decode_image(
    path: str | Path,
    *,
    depth_range: tuple[float, float] | None = None,
    notes: list[str] | None = None,
    data: bytes | None = None,
    shrink: int = 1,
) -> tuple[Image.Image, FileLook]:
    """Returns an image, decoded whole and upright, as Pillow's `RGB`, or `L` where it holds grey; and its look.

    Other arguments and errors as `read_image`.

    Args:
        shrink: a JPEG file is decoded in grey, 2, 4 or 8 times as small where it is asked to be so much smaller, which
            takes a fraction of the time.
    """
    path = Path(path)
    with _opened(path, data) as (image, data):
        if shrink > 1:
            image.draft("L", (max(1, image.width // shrink), max(1, image.height // shrink)))
        look = _loaded(image, data)
        decoded = _eight_bit(image, depth_range, path, notes)
    turn = _TURNS.get(look.orientation)
    return (decoded if turn is None else decoded.transpose(turn)), look


def pillow_pixels(image: Image.Image, *, depth_range: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Returns an image of Pillow, of any mode, as (H, W, 3) uint8 RGB: what `read_image` gives of its file.

    An EXIF orientation that it still has is applied; of several frames, the current one is taken.

    Args:
        depth_range: see `read_image`.
    Raises:
        DatasetError: damaged, or more than 8 bit without `depth_range`.
    """
    path = Path(str(getattr(image, "filename", "")) or "image")
    try:
        look = _loaded(image, b"")
    except _DECODE_ERRORS as error:
        raise DatasetError(
            message("the image is damaged or cut off and cannot be decoded ({error})", error=quoted(str(error))),
            path=path,
        ) from error
    decoded, turn = _eight_bit(image, depth_range, path, None), _TURNS.get(look.orientation)
    return rgb_pixels(decoded if turn is None else decoded.transpose(turn))


def _eight_bit(
    image: Image.Image, depth_range: tuple[float, float] | None, path: Path, notes: list[str] | None
) -> Image.Image:
    """Returns a decoded image as Pillow's `RGB`, or `L` where it holds grey."""
    if image.mode in _DEEP_MODES:
        return Image.fromarray(_scale_depth(np.asarray(image), depth_range, path))
    if image.mode in ALPHA_MODES or (image.mode == "P" and "transparency" in image.info):
        return Image.fromarray(np.ascontiguousarray(_over_black(image, path, notes)))
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Returns the pixels of `decode_image` as (H, W, 3) uint8."""
    return np.ascontiguousarray(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))


def read_mask_values(
    path: str | Path, *, colors: bool = False, data: bytes | None = None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Returns what a mask file holds, unchanged: labels are not scaled, smoothed or looked up.

    Args:
        colors: give the colours of a palette file instead of its indices.
        data: the file's bytes, when they have been read already.
    Returns:
        (H, W) uint8 or uint16 for grey files and palette indices, also for colour files whose three channels are equal
        everywhere; 1-bit files give 0 and 255. (H, W, 3) uint8 for colour files. A file that is black wherever it
        is not transparent gives how opaque each pixel is, 0 to 255; see `DecodedMask.alpha`.
    Raises:
        DatasetError: missing, no image, damaged, several frames, too large, or values that are no whole numbers in
            0-65535.
    """
    with opened_mask(path, data=data) as mask:
        return mask.values(colors=colors)


def read_palette(path: str | Path, *, data: bytes | None = None) -> list[RGB]:
    """Returns the colours of a palette file by index, or an empty list for any other file."""
    with opened_mask(path, data=data) as mask:
        return mask.palette()


class DecodedMask:
    """A mask file, decoded once.

    Attributes:
        look: how the file holds its pixels.
    """

    def __init__(self, image: Image.Image, data: bytes, path: Path) -> None:
        self._divisor = np.uint8(_small_grey_divisor(image))
        self.look = _loaded(image, data)
        self._image, self._path = image, path
        self._stored: NDArray[Any] | None = None

    def values(self, *, colors: bool = False) -> NDArray[Any]:
        """Returns what the file holds; see `read_mask_values`."""
        if colors and self._image.mode == "P":
            return self._upright(_mask_array(self._image, colors, self._path))
        if self._stored is None:
            values = _mask_array(self._image, colors, self._path)
            self._stored = self._upright(values if self._divisor == 1 else values // self._divisor)
        if self._stored.ndim == 3 and not colors and _is_grey(self._stored):
            return np.ascontiguousarray(self._stored[:, :, 0])
        return self._stored

    def alpha(self) -> tuple[int, bool]:
        """Returns how many pixels are not opaque, and whether the values are the transparency, not colours."""
        if self._image.mode not in ALPHA_MODES:
            return 0, False
        _, alpha, labelled = _split_alpha(self._image)
        return int((alpha < 255).sum()), labelled

    def _upright(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(oriented(values, self.look.orientation))

    def palette(self) -> list[RGB]:
        """Returns the colours of a palette file by index, or an empty list for any other file."""
        flat = (self._image.getpalette("RGB") or []) if self._image.mode == "P" else []
        return [(flat[start], flat[start + 1], flat[start + 2]) for start in range(0, len(flat) - 2, 3)]


@contextmanager
def opened_mask(path: str | Path, *, data: bytes | None = None) -> Iterator[DecodedMask]:
    """Yields a mask file, decoded whole; it can be asked after the block too, where errors say less.

    Args:
        data: the file's bytes, when they have been read already.
    Raises:
        DatasetError: as `read_mask_values`.
    """
    path = Path(path)
    with _opened(path, data) as (image, data):
        yield DecodedMask(image, data, path)


@dataclass(frozen=True, kw_only=True)
class FileLook:
    """How a file holds its pixels: Pillow's format and mode, EXIF orientation (1-8), more than 8 bit a value."""

    kind: str
    mode: str
    orientation: int
    deep: bool


def file_look(path: str | Path, *, data: bytes | None = None) -> FileLook:
    """Returns how an image or mask file holds its pixels; reads the header only."""
    with _opened(path, data) as (image, data):
        return _look(image, data, image.mode)


def _loaded(image: Image.Image, data: bytes) -> FileLook:
    """Decodes an opened image whole, and returns its look."""
    mode = image.mode  # of the file; decoding may change it
    image.load()
    return _look(image, data, mode)


def _look(image: Image.Image, data: bytes, mode: str) -> FileLook:
    orientation = _orientation(image, data)
    return FileLook(kind=image.format or "", mode=mode, orientation=orientation, deep=mode in _DEEP_MODES)


def read_bytes(path: Path) -> bytes:
    """Returns the file's bytes; DatasetError where it is missing, empty, a folder or not readable."""
    with told_errors(path):
        data = path.read_bytes()
    if not data:
        raise DatasetError(message("the file is empty (0 bytes); copy it again"), path=path)
    return data


def file_state(path: Path) -> tuple[int, int]:
    """Returns bytes, and the later of modification and replacement; a copy that keeps the first has another second.

    Raises:
        DatasetError: missing, or not to be asked.
    """
    with told_errors(path):
        status = path.stat()
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def told_errors(path: Path) -> Iterator[None]:
    """Says of a file that cannot be found or read in the block, as a DatasetError, what is the matter with it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DatasetError(missing_text(path), path=path) from error
    except OSError as error:
        raise DatasetError(
            message("cannot read the file: {reason}", reason=quoted(str(error.strerror or error))), path=path
        ) from error


def missing_text(path: Path) -> str:
    """Returns how a file that cannot be found is missing: as itself, or as what a link points to."""
    if not path.is_symlink():
        return message("there is no such file")
    return message("a link to {target}, which is not there; mend or delete the link", target=str(path.readlink()))


@contextmanager
def _opened(path: str | Path, data: bytes | None) -> Iterator[tuple[Image.Image, bytes]]:
    """Yields the opened image and its bytes; whatever goes wrong inside the block becomes a DatasetError.

    Args:
        data: the file's bytes, when they have been read already.
    """
    path = Path(path)
    data = read_bytes(path) if data is None else data
    content = _embedded(data, path) if path.suffix.lower() == ".json" else data
    try:
        with _open_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(content), formats=_formats(content, path))
        with image:
            frames = _frames(image, len(content))
            if frames != 1:
                raise DatasetError(
                    message(
                        "expected one picture, got a {format} file with {frames} frames or pages; save each as a "
                        "file of its own",
                        format=image.format,
                        frames=frames,
                    ),
                    path=path,
                )
            yield image, data
    except DatasetError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DatasetError(
            message(
                "the image is too large to open safely: {error}; read it by windows with {format} and {option}, "
                "or shrink it first",
                error=quoted(str(error)),
                format=set_format("geotiff"),
                option=set_option("window", "512"),
            ),
            path=path,
        ) from error
    except UnidentifiedImageError as error:
        if content[:4] in _TIFF:
            raise DatasetError(
                message(
                    "a TIFF file whose bands or depth the ordinary reader does not know; read it with {format}",
                    format=set_format("geotiff"),
                ),
                path=path,
            ) from error
        if _is_heif(content):
            raise DatasetError(
                message("the HEIC photo is damaged or cut off and cannot be decoded; copy it again"), path=path
            ) from error
        raise DatasetError(
            message(
                "not an image segbench can read (PNG, JPEG, BMP, TIFF, WebP, GIF or HEIC); the file begins with "
                "{beginning!r}",
                beginning=content[:8],
            ),
            path=path,
        ) from error
    except _DECODE_ERRORS as error:
        raise DatasetError(
            message(
                "the image is damaged or cut off and cannot be decoded ({error}; {n} bytes); copy it again",
                error=quoted(str(error)),
                n=len(content),
            ),
            path=path,
        ) from error


def _frames(image: Image.Image, size: int) -> int | str:
    """Returns how many frames or pages a file of so many bytes has; a word where counting them could take hours, since
    Pillow looks at each, and a small file may hold a million."""
    if image.format == "MPO":  # a JPEG with previews
        return 1
    if image.format in ("TIFF", "GIF") and size > _COUNTED_BYTES:
        return "several" if getattr(image, "is_animated", False) else 1
    return int(getattr(image, "n_frames", 1))


def _formats(content: bytes, path: Path) -> tuple[str, ...]:
    """Returns Pillow's formats that are tried; HEIC is known to it only once its package is there and has registered.

    Raises:
        DatasetError: a HEIC file, and the package is missing.
    """
    if not _is_heif(content):
        return FORMATS
    try:
        import pillow_heif
    except ImportError as error:
        raise DatasetError(
            message("a HEIC photo; to read it: pip install 'segbench[heic]', or save it as JPEG or PNG"), path=path
        ) from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _is_heif(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS


def _embedded(data: bytes, path: Path) -> bytes:
    """Returns the image file that a LabelMe file holds as base64 text."""
    try:
        text = json.loads(data)["imageData"]
        return base64.b64decode(text, validate=False)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            message("expected an image, or a LabelMe file with its image inside (imageData); this JSON holds none"),
            path=path,
        ) from error


def _orientation(image: Image.Image, data: bytes) -> int:
    """Returns the EXIF orientation 1-8 that is still to be applied."""
    if image.format in ("TIFF", "HEIF"):  # Pillow and libheif apply it on their own, in `size` and on loading
        return 1
    if image.format == "PNG" and not _may_be_turned(image, data):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODE_ERRORS:
        return 1  # damaged metadata says nothing about the pixels
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


def _may_be_turned(image: Image.Image, data: bytes) -> bool:
    """Returns whether a PNG file holds metadata that may tell an orientation.

    Pillow knows it once the file is decoded, and would decode it to answer before.
    """
    if getattr(image, "tile", None):
        return any(mark in data for mark in (b"eXIf", b"Raw profile type", b"adobe.xmp"))
    return any(key in image.info for key in ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"))


_TURNS = {  # what `oriented` does, in Pillow's words
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _scale_depth(grey: NDArray[Any], depth_range: tuple[float, float] | None, path: Path) -> NDArray[np.uint8]:
    if not np.isfinite(grey).all():
        raise DatasetError(message("the image holds values that are not finite numbers (NaN or infinity)"), path=path)
    low, high = float(grey.min()), float(grey.max())
    if depth_range is None:
        dark = np.percentile(grey, _DARKEST, method="lower")  # of a small image, the lowest itself
        bright = np.percentile(grey, 100 - _DARKEST, method="higher")
        raise DatasetError(too_deep([(low, high, float(dark), float(bright))]), path=path)
    black, white = depth_range
    scaled = (grey.astype(np.float64) - black) / (white - black) * 255.0
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def too_deep(ranges: Sequence[tuple[float, float, float, float]], total: int = 1) -> Message:
    """Returns what has to be said of images of more than 8 bit, with the option that says it for all of them.

    Args:
        ranges: of each, the lowest and highest value, and those between which all but 0.2 % of its pixels lie.
        total: images there are.
    """
    lows, highs, _, _ = zip(*ranges, strict=True)
    return plural(
        "the image has more than 8 bit (values {low:g} to {high:g}); say which values mean black and white, the same "
        "for all images, with {option}",
        "{n} of {total} images have more than 8 bit (values {low:g} to {high:g}); say which values mean black and "
        "white, the same for all images, with {option}",
        n=len(ranges),
        total=total,
        low=min(lows),
        high=max(highs),
        option=deep_option(ranges),
        ranges=tuple(ranges),
    )


def deep_option(ranges: Sequence[tuple[float, float, float, float]]) -> Message:
    """Returns the option `depth_range` that fits all of the ranges; see `too_deep`."""
    lows, highs, darks, brights = zip(*ranges, strict=True)
    low, high, dark, bright = min(lows), max(highs), min(darks), max(brights)
    black, white = (math.floor(dark), math.ceil(bright)) if bright - dark > 2 else (low, max(high, low + 1))
    return set_option("depth_range", f"[{black:g}, {white:g}]")


def deep_ranges(reasons: Iterable[str]) -> list[tuple[float, float, float, float]]:
    """Returns the ranges that `too_deep` was told, of those reasons that it gave."""
    return [part for why in reasons if isinstance(why, Message) for part in why.values.get("ranges", ())]


def _over_black(image: Image.Image, path: Path, notes: list[str] | None) -> NDArray[np.uint8]:
    rgba = np.asarray(image.convert("RGBA"))
    share = float((rgba[:, :, 3] < 255).mean())
    if share and notes is not None:
        notes.append(f"{path.name}: {share:.1%} of the pixels are transparent and were laid over black")
    return over_black(rgba)


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns RGBA (H, W, 4) uint8 laid over black, (H, W, 3) uint8."""
    rgb, alpha = rgba[:, :, :3], rgba[:, :, 3:]
    if alpha.min() == 255:
        return rgb
    return np.asarray((rgb.astype(np.uint16) * alpha + 127) // 255, dtype=np.uint8)


def _is_grey(values: NDArray[Any]) -> bool:
    """Returns whether the channels of (H, W, 3) are equal everywhere; a few rows tell it of most colour files."""
    return all(bool((some == some[:, :, :1]).all()) for some in (values[::64], values))


def _mask_array(image: Image.Image, colors: bool, path: Path) -> NDArray[Any]:
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode == "L" or (image.mode == "P" and not colors):
        return np.asarray(image)
    if image.mode in _DEEP_MODES:
        grey = np.asarray(image)
        if not np.isfinite(grey).all() or (grey != np.rint(grey)).any() or grey.min() < 0 or grey.max() > 65535:
            raise DatasetError(
                message(
                    "expected a mask of whole numbers from 0 to 65535, got {dtype} values {low:g} to "
                    "{high:g}; save the labels as 8-bit grey or palette PNG",
                    dtype=grey.dtype,
                    low=grey.min(),
                    high=grey.max(),
                ),
                path=path,
            )
        return grey.astype(np.uint16)
    if image.mode in ALPHA_MODES:
        colors_shown, alpha, labelled = _split_alpha(image)
        return alpha if labelled else colors_shown
    return np.asarray(image.convert("RGB"))


def _split_alpha(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bool]:
    """Returns colours (H, W, 3), alpha (H, W), and whether alpha alone tells pixels apart: all that shows is black.

    Colours are laid over black; where every pixel is as transparent as the others, that says nothing, and they stay.
    """
    rgba = np.asarray(image.convert("RGBA"))
    rgb, alpha = rgba[:, :, :3], rgba[:, :, 3]
    if (alpha == alpha.flat[0]).all():
        return rgb, alpha, False
    shown = np.asarray((rgb.astype(np.uint16) * alpha[:, :, None] + 127) // 255, dtype=np.uint8)
    return shown, alpha, not shown.any()


def _small_grey_divisor(image: Image.Image) -> int:
    """Returns by what Pillow multiplies the grey values of a 2-bit or 4-bit PNG on loading; labels are undone."""
    if image.format != "PNG" or image.mode != "L":
        return 1
    tiles = getattr(image, "tile", [])
    return {"L;2": 85, "L;4": 17}.get(str(tiles[0][3]), 1) if tiles else 1
