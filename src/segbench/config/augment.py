"""Random changes of the training images: plain keys, presets, and a list of named changes, all one and the same config.

Whichever way it is written, it becomes the plain keys of `AugmentConfig`, and those are what a run folder keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from segbench.config.base import Fraction, Section
from segbench.config.text import explain
from segbench.errors import ConfigError, suggest

Zoom = Annotated[float, Field(gt=0.05, le=20.0)]
Degrees = Annotated[float, Field(ge=0.0, le=180.0)]
Gamma = Annotated[float, Field(ge=0.1, le=10.0)]

# Keys that every config has had from the start. Those added later are written only where they are set, so that a run
# trained before they existed keeps its fingerprint.
_FIRST_KEYS = frozenset(
    ("hflip", "vflip", "rotate_deg", "scale", "translate_frac", "crop", "brightness", "contrast", "saturation", "hue")
)
_USUAL_P = 0.5  # of a listed change that happens or does not
_STEEPEST = 0.25  # shift of a point of the elastic grid, in cells: beyond, the smooth surface through them folds over

# What each preset is for, and where its numbers come from: docs/reference/augmentation.md.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "none": {"hflip": 0.0},
        "flips": {"hflip": 0.5, "vflip": 0.5},
        "light": {"hflip": 0.5, "rotate_deg": 10.0, "scale": (0.9, 1.2), "brightness": 0.1, "contrast": 0.1},
        "strong": {
            "hflip": 0.5,
            "rotate_deg": 30.0,
            "rotate_p": 0.5,
            "scale": (0.7, 1.4),
            "scale_p": 0.5,
            "translate_frac": 0.1,
            "elastic_frac": 0.04,
            "elastic_p": 0.2,
            "gamma": (0.7, 1.5),
            "gamma_p": 0.3,
            "brightness": 0.25,
            "contrast": 0.25,
            "saturation": 0.25,
            "hue": 0.02,
            "blur_px": 1.5,
            "blur_p": 0.15,
            "noise": 0.05,
            "noise_p": 0.15,
        },
        "dermoscopy": {
            "hflip": 0.5,
            "vflip": 0.5,
            "rotate_deg": 180.0,
            "scale": (0.8, 1.3),
            "shear_deg": 10.0,
            "translate_frac": 0.05,
            "outside": "ignore",
            "brightness": 0.2,
            "contrast": 0.2,
            "saturation": 0.2,
            "hue": 0.02,
        },
        "aerial": {
            "hflip": 0.5,
            "rot90_p": 0.75,
            "scale": (0.8, 1.25),
            "scale_p": 0.5,
            "brightness": 0.2,
            "contrast": 0.2,
            "saturation": 0.1,
            "gamma": (0.8, 1.25),
            "gamma_p": 0.5,
        },
        "street": {
            "hflip": 0.5,
            "scale": (0.5, 2.0),
            "place": "random",
            "outside": "ignore",
            "brightness": 0.2,
            "contrast": 0.3,
            "saturation": 0.3,
            "hue": 0.02,
        },
    }
)

# The list form: name of a change -> its options -> the plain key each sets. The first option is needed if it isn't `p`.
CHANGES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "hflip": {"p": "hflip"},
        "vflip": {"p": "vflip"},
        "rot90": {"p": "rot90_p"},
        "rotate": {"limit_deg": "rotate_deg", "p": "rotate_p"},
        "shear": {"limit_deg": "shear_deg", "p": "shear_p"},
        "scale": {"limit": "scale", "p": "scale_p", "place": "place", "detail": "detail"},
        "translate": {"limit_frac": "translate_frac", "p": "translate_p"},
        "elastic": {"limit_frac": "elastic_frac", "cells": "elastic_cells", "p": "elastic_p"},
        "crop": {"size": "crop"},
        "outside": {"labels": "outside"},
        "brightness": {"limit": "brightness", "p": "brightness_p"},
        "contrast": {"limit": "contrast", "p": "contrast_p"},
        "saturation": {"limit": "saturation", "p": "saturation_p"},
        "hue": {"limit": "hue", "p": "hue_p"},
        "gamma": {"limit": "gamma", "p": "gamma_p"},
        "grey": {"p": "grey_p"},
        "blur": {"limit_px": "blur_px", "p": "blur_p"},
        "noise": {"limit": "noise", "p": "noise_p"},
        "holes": {"count": "holes", "limit_frac": "holes_frac", "p": "holes_p"},
        "cutmix": {"p": "cutmix_p"},
        "copy_paste": {"p": "copy_paste_p", "classes": "copy_paste_classes"},
    }
)


class AugmentConfig(Section):
    """Random changes of the training images; image and mask move together, colours change in the image only.

    YAML may write a preset (`augment: strong`), a
    preset with other values for some keys (`{preset: strong, rotate_deg: 15}`), or a list of named changes
    (`[{name: hflip, p: 0.5}, {name: rotate, limit_deg: 15}]`). The order of applying is fixed, whatever the order they
    are written in: that of the attributes below.

    Attributes:
        hflip, vflip: probability of a mirror image, left-right and top-bottom.
        shear_deg: slanted by two angles, of columns and of rows, from [-shear_deg, shear_deg].
        rotate_deg: rotated by an angle from [-rotate_deg, rotate_deg].
        scale: enlarged by a factor from this range; above 1 zooms in.
        place: `center` enlarges about the middle; `random` draws which part of an enlarged image is seen, and where a
            shrunk one lies.
        detail: what an enlarged image is read from: `size`, the image at `data.size`; or `original`, a version as
            large as the zoom asks for and the file has pixels for, so that zooming in shows more.
        translate_frac: shifted by up to this share of height and width.
        crop: (H, W) of a random window of the resized image, in pixels; None keeps the whole image.
        elastic_frac, elastic_cells: bent smoothly: the points of a grid of so many cells a side move by up to this
            share of height and width.
        outside: what a mask has where no pixel of the image lies: the labels of the `mirror` image, as the image has
            its pixels, or `ignore`, so that they count nowhere.
        rot90_p: probability of a quarter, half or three-quarter turn, each as likely; where height and width of the
            result differ, two thirds of this is the probability of a half turn.
        brightness, contrast, saturation: factor from [1 - value, 1 + value].
        hue: turned by up to this share of the colour circle.
        grey_p: probability that the image loses its colours.
        gamma: power from this range, 1 leaves the image alone, above 1 darkens.
        blur_px: Gaussian blur of a standard deviation of up to so many pixels.
        noise: Gaussian noise of a standard deviation of up to this share of full brightness.
        holes, holes_frac: up to so many rectangles, sides up to this share of height and width, become the image's mean
            colour; their labels stay.
        cutmix_p: probability that a rectangle is replaced, with its labels, by that of another training image.
        copy_paste_p, copy_paste_classes: probability that objects of another training image are pasted with their
            labels: of the named classes, or of all but the background.
        shear_p, rotate_p, scale_p, translate_p, elastic_p, brightness_p, contrast_p, saturation_p, hue_p, gamma_p,
            blur_p, noise_p, holes_p: share of the samples that the change of this name happens to.
    """

    hflip: Fraction = 0.5
    vflip: Fraction = 0.0
    rotate_deg: Degrees = 0.0
    scale: tuple[Zoom, Zoom] = (1.0, 1.0)
    translate_frac: Fraction = 0.0
    crop: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0

    rotate_p: Fraction = 1.0
    scale_p: Fraction = 1.0
    translate_p: Fraction = 1.0
    brightness_p: Fraction = 1.0
    contrast_p: Fraction = 1.0
    saturation_p: Fraction = 1.0
    hue_p: Fraction = 1.0
    rot90_p: Fraction = 0.0
    shear_deg: Annotated[float, Field(ge=0.0, le=45.0)] = 0.0
    shear_p: Fraction = 1.0
    place: Literal["center", "random"] = "center"
    detail: Literal["size", "original"] = "size"
    outside: Literal["mirror", "ignore"] = "mirror"
    elastic_frac: Annotated[float, Field(ge=0.0, le=_STEEPEST / 2)] = 0.0
    elastic_cells: Annotated[int, Field(ge=2, le=32)] = 4
    elastic_p: Fraction = 1.0
    gamma: tuple[Gamma, Gamma] = (1.0, 1.0)
    gamma_p: Fraction = 1.0
    grey_p: Fraction = 0.0
    blur_px: Annotated[float, Field(ge=0.0, le=20.0)] = 0.0
    blur_p: Fraction = 1.0
    noise: Fraction = 0.0
    noise_p: Fraction = 1.0
    holes: Annotated[int, Field(ge=0, le=64)] = 0
    holes_frac: Annotated[float, Field(gt=0.0, le=1.0)] = 0.15
    holes_p: Fraction = 1.0
    cutmix_p: Fraction = 0.0
    copy_paste_p: Fraction = 0.0
    copy_paste_classes: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            if "preset" not in value:
                return value
            preset = "none" if value["preset"] is None else value["preset"]
            return {**_preset(preset), **{key: item for key, item in value.items() if key != "preset"}}
        if value is None or isinstance(value, str):
            return _preset(value or "none")
        return _from_list(value) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        for name in ("scale", "gamma"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is (smallest, largest), got {(low, high)}")
        steepness = self.elastic_frac * self.elastic_cells
        if steepness > _STEEPEST:
            raise ValueError(
                f"elastic_frac {self.elastic_frac:g} with elastic_cells {self.elastic_cells} would fold the image over;"
                f" lower elastic_frac to {_STEEPEST / self.elastic_cells:g} or the number of cells"
            )
        if self.copy_paste_classes and "copy_paste_p" not in self.model_fields_set:
            raise ValueError(
                "copy_paste_classes without copy_paste_p changes nothing; set copy_paste_p, for example 0.3"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        if info.mode != "json":
            return plain
        fields = type(self).model_fields
        return {
            key: value
            for key, value in plain.items()
            if key in _FIRST_KEYS
            or getattr(self, key) != fields[key].default
            or (key == "copy_paste_p" and self.copy_paste_classes)
        }


def parse_augment(spec: object) -> AugmentConfig:
    """Returns the checked config of a preset's name, plain keys, or a list of named changes.

    Raises:
        ConfigError: an unknown name, or a value out of range.
    Example:
        >>> parse_augment("light").rotate_deg, parse_augment([{"name": "rotate", "limit_deg": 15}]).rotate_deg
        (10.0, 15.0)
    """
    try:
        return AugmentConfig.model_validate(spec)
    except ValidationError as error:
        key, reason = explain(error.errors()[0], AugmentConfig)
        raise ConfigError(reason, key=".".join(("data", "augment", *key))) from error


def _preset(name: object) -> dict[str, Any]:
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; {suggest(str(name), PRESETS)}")
    return dict(PRESETS[name])


def _from_list(entries: Sequence[Any]) -> dict[str, Any]:
    """Returns the plain keys that a list of named changes means; what is not listed does not happen."""
    values = _preset("none")
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        change = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(change, Mapping) or "name" not in change:
            raise ValueError(f"entry {position} should be a change like {{name: hflip, p: 0.5}}, got {entry!r}")
        name = str(change["name"])
        if name not in CHANGES:
            raise ValueError(f"entry {position}: there is no change {name!r}; {suggest(name, CHANGES)}")
        if name in seen:
            raise ValueError(f"entry {position}: {name} is there twice; leave one out")
        seen.add(name)
        values |= _keys_of(name, {key: item for key, item in change.items() if key != "name"}, position)
    return values


def _keys_of(name: str, options: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Returns the plain keys that one named change sets."""
    known = CHANGES[name]
    for option in options:
        if option not in known:
            raise ValueError(f"entry {position}: {name} has no option {option!r}; {suggest(option, known)}")
    first = next(iter(known))
    if first not in options and first != "p":
        raise ValueError(f"entry {position}: {name} needs {first}; without it nothing changes")
    given = options if first in options else {first: _USUAL_P, **options}
    return {known[option]: value for option, value in given.items()}
