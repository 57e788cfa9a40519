"""What happens to each sample of a batch: drawn from (seed, epoch, index of the sample), exact on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from segbench.config.augment import AugmentConfig

F64: TypeAlias = npt.NDArray[np.float64]
I64: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

# These keep the random numbers apart from others drawn from the same seed, and from one another.
_STREAM, _PARTNER_STREAM = 0xA06, 0xA07
_ELASTIC, _HOLES, NOISE = 1, 2, 3

# Every sample draws all its numbers, used or not, so switching one change on leaves the others as they were. The first
# twelve have no names here; later ones are only ever appended.
_FIRST = 12
_LATER = (
    *("rotate_p", "scale_p", "translate_p", "brightness_p", "contrast_p", "saturation_p", "hue_p", "rot90_p", "turns"),
    *("shear_p", "shear_rows", "shear_columns", "elastic_p", "gamma_p", "gamma", "grey_p", "blur_p", "blur"),
    *("noise_p", "noise", "place_down", "place_right", "holes_p", "holes"),
)


@dataclass(frozen=True, kw_only=True)
class AugmentParameters:
    """What happens to each of B samples, in this order.

    Attributes:
        hflip, vflip: (B,) bool.
        shear_deg: (B, 2) slant of rows and of columns.
        angle_deg: (B,) counter-clockwise, about the image's centre.
        scale: (B,) above 1 enlarges.
        shift_px: (B, 2) down, right.
        window_px: (B, 2) top, left of the crop, whole pixels.
        size: (H, W) of the result.
        bend_px: (B, 2, G, G) how far down, and right, the points of a grid over the result look for their pixel; G may
            be 0.
        ignore_outside: masks have `ignore_index` where no pixel of the image lies.
        turns: (B,) quarter turns of the result, counter-clockwise.
        brightness, contrast, saturation: (B,) factors, 1 changes nothing.
        hue: (B,) share of the colour circle, 0 changes nothing.
        grey: (B,) bool.
        gamma: (B,) power, 1 changes nothing.
        blur_px, noise: (B,) standard deviations, 0 changes nothing.
        holes_px: (B, K, 4) top, left, height, width of what is covered; height 0 is no hole.
        keys: (B, 4) what a sample's random numbers are drawn from.
    """

    hflip: Flags
    vflip: Flags
    shear_deg: F64
    angle_deg: F64
    scale: F64
    shift_px: F64
    window_px: I64
    size: tuple[int, int]
    bend_px: F64
    ignore_outside: bool
    turns: I64
    brightness: F64
    contrast: F64
    saturation: F64
    hue: F64
    grey: Flags
    gamma: F64
    blur_px: F64
    noise: F64
    holes_px: I64
    keys: I64

    @property
    def moved(self) -> Flags:
        """(B,) bool: which samples are more than flipped and cropped, so that their pixels need interpolating."""
        slanted = self.shear_deg.any(axis=1) | self.shift_px.any(axis=1) | self.bend_px.any(axis=(1, 2, 3))
        return np.asarray(slanted | (self.angle_deg != 0.0) | (self.scale != 1.0))

    @property
    def tinted(self) -> Flags:
        """(B,) bool: which samples' brightness, contrast, saturation or hue changes."""
        factors = np.stack([self.brightness, self.contrast, self.saturation])
        return np.asarray((factors != 1.0).any(axis=0) | (self.hue != 0.0))

    def take(self, rows: I64 | slice) -> AugmentParameters:
        """Returns what happens to some of the samples."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {name: value[rows] for name, value in values.items() if isinstance(value, np.ndarray)}
        return replace(self, **arrays)


def draw_augmentation(
    config: AugmentConfig,
    seed: int,
    epoch: int,
    indices: Sequence[int] | I64,
    size: tuple[int, int],
    *,
    partner: bool = False,
) -> AugmentParameters:
    """Returns what to do to each sample.

    Args:
        config: what may happen; mixing of samples is drawn elsewhere.
        seed, epoch: not negative.
        indices: (B,) index of each sample in its data set, not negative.
        size: (H, W) of the images before the crop, in pixels.
        partner: draws other numbers: for the images that are mixed into those samples.
    Raises:
        ValueError: the crop is larger than the images.
    """
    crop = config.crop or size
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ValueError(f"expected a crop of at most {size}, the images' height and width, got {crop}")
    stream = _PARTNER_STREAM if partner else _STREAM
    keys = np.array([[stream, seed, epoch, int(index)] for index in indices], dtype=np.int64).reshape(-1, 4)
    u = np.stack([np.random.default_rng(key).random(_FIRST + len(_LATER)) for key in keys])
    later = {name: u[:, _FIRST + index] for index, name in enumerate(_LATER)}
    happens = {name: values < getattr(config, name) for name, values in later.items() if name.endswith("_p")}
    room = np.array([size[0] - crop[0] + 1, size[1] - crop[1] + 1])
    window = np.floor(u[:, 6:8] * room).astype(np.int64)
    result = (int(crop[0]), int(crop[1]))
    return AugmentParameters(
        hflip=u[:, 0] < config.hflip,
        vflip=u[:, 1] < config.vflip,
        **_draw_movement(config, u, later, happens, size, window, result),
        window_px=window,
        size=result,
        bend_px=_draw_bend(config, keys, happens["elastic_p"], result),
        ignore_outside=config.outside == "ignore",
        turns=_draw_turns(happens["rot90_p"], later["turns"], result),
        **_draw_colors(config, u, later, happens),
        holes_px=_draw_holes(config, keys, happens["holes_p"], later["holes"], result),
        keys=keys,
    )


def _spread(u: F64) -> F64:
    return 2.0 * u - 1.0  # [-1, 1)


def _draw_movement(
    config: AugmentConfig,
    u: F64,
    later: dict[str, F64],
    happens: dict[str, Flags],
    size: tuple[int, int],
    window: I64,
    result: tuple[int, int],
) -> dict[str, Any]:
    low, high = config.scale
    scale = np.where(happens["scale_p"], low + (high - low) * u[:, 3], 1.0)
    shift = np.where(happens["translate_p"][:, None], config.translate_frac * _spread(u[:, 4:6]) * np.array(size), 0.0)
    if config.place == "random":
        # Where the window lies on the scaled image (where it is smaller: the image in the window) is uniform.
        enlarged = scale[:, None] * np.array(size)
        corner = np.stack([later["place_down"], later["place_right"]], axis=1) * (enlarged - np.array(result))
        shift += np.where(scale[:, None] != 1.0, window + (enlarged - np.array(size)) / 2 - corner, 0.0)
    slant = _spread(np.stack([later["shear_rows"], later["shear_columns"]], axis=1))
    return {
        "shear_deg": np.where(happens["shear_p"][:, None], config.shear_deg * slant, 0.0),
        "angle_deg": np.where(happens["rotate_p"], config.rotate_deg * _spread(u[:, 2]), 0.0),
        "scale": scale,
        "shift_px": shift,
    }


def _draw_turns(happens: Flags, u: F64, result: tuple[int, int]) -> I64:
    turns = np.where(happens, 1 + np.floor(3 * u).astype(np.int64), 0)
    if result[0] != result[1]:
        turns = np.array([0, 2, 2, 0])[turns]  # as often upright as upside down where all turns are as likely
    return turns


def _draw_bend(config: AugmentConfig, keys: I64, happens: Flags, result: tuple[int, int]) -> F64:
    points = config.elastic_cells + 1 if config.elastic_frac and happens.any() else 0
    bend = np.zeros((len(keys), 2, points, points))
    if points:
        limit = config.elastic_frac * np.array(result, dtype=np.float64)[:, None, None]
        for row in np.flatnonzero(happens):
            bend[row] = limit * _spread(np.random.default_rng([_ELASTIC, *keys[row]]).random((2, points, points)))
    return bend


def _draw_colors(config: AugmentConfig, u: F64, later: dict[str, F64], happens: dict[str, Flags]) -> dict[str, Any]:
    darkest, brightest = np.log(config.gamma)
    return {
        "brightness": np.where(happens["brightness_p"], 1.0 + config.brightness * _spread(u[:, 8]), 1.0),
        "contrast": np.where(happens["contrast_p"], 1.0 + config.contrast * _spread(u[:, 9]), 1.0),
        "saturation": np.where(happens["saturation_p"], 1.0 + config.saturation * _spread(u[:, 10]), 1.0),
        "hue": np.where(happens["hue_p"], config.hue * _spread(u[:, 11]), 0.0),
        "grey": happens["grey_p"],
        "gamma": np.where(happens["gamma_p"], np.exp(darkest + (brightest - darkest) * later["gamma"]), 1.0),
        "blur_px": np.where(happens["blur_p"], config.blur_px * later["blur"], 0.0),
        "noise": np.where(happens["noise_p"], config.noise * later["noise"], 0.0),
    }


def _draw_holes(config: AugmentConfig, keys: I64, happens: Flags, u: F64, result: tuple[int, int]) -> I64:
    holes = np.zeros((len(keys), config.holes, 4), dtype=np.int64)
    for row in np.flatnonzero(happens) if config.holes else ():
        count = 1 + int(u[row] * config.holes)
        numbers = np.random.default_rng([_HOLES, *keys[row]]).random((config.holes, 4))[:count]
        sides = np.ceil(numbers[:, 2:] * config.holes_frac * np.array(result)).astype(np.int64).clip(min=1)
        corners = np.floor(numbers[:, :2] * (np.array(result) - sides + 1)).astype(np.int64)
        holes[row, :count] = np.concatenate([corners, sides], axis=1)
    return holes
