"""Draws dermoscopy-like lesions: a warped, many-coloured spot on skin, and what lies between it and the camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from segbench.data.synthetic.texture import blend, fractal_noise, photograph, smooth_step

U8: TypeAlias = npt.NDArray[np.uint8]
F32: TypeAlias = npt.NDArray[np.float32]

LESION_ATTRIBUTES = (
    *("area_frac", "contrast", "colours", "hairs", "border_blur", "irregularity", "skin_tone"),
    *("vignette", "bubbles", "ruler", "distractors", "blur_px", "noise"),
)

_SKINS: tuple[tuple[int, int, int], ...] = (
    *((244, 214, 202), (236, 196, 178), (228, 178, 160), (222, 172, 140), (206, 152, 120), (178, 124, 94)),
    (140, 94, 70),
)
# Multipliers of the skin's colour at full strength: what melanin, blood and scar tissue leave of red, green and blue.
_PIGMENTS: Mapping[str, tuple[float, float, float]] = {
    "light brown": (0.74, 0.60, 0.48),
    "dark brown": (0.42, 0.30, 0.26),
    "black": (0.20, 0.17, 0.19),
    "blue-grey": (0.48, 0.53, 0.64),
    "red": (0.80, 0.52, 0.50),
    "white": (0.97, 0.95, 0.95),
}


def draw_lesion(rng: np.random.Generator, size: tuple[int, int]) -> tuple[U8, U8, dict[str, float]]:
    """Returns image (H, W, 3) uint8, mask (H, W) uint8 of 0 and 1, and the values of `LESION_ATTRIBUTES`."""
    unit = min(size) / 192.0  # strokes and blur keep their look at every size
    tone = int(rng.choice(len(_SKINS), p=[0.14, 0.2, 0.2, 0.16, 0.14, 0.1, 0.06]))
    inside, shape = _lesion_field(rng, size)
    mask = (inside > 0).astype(np.uint8)
    skin = _skin(rng, size, tone)
    pigment, pigments = _pigment(rng, size, inside)
    contrast = float(0.34 + 0.64 * rng.beta(1.6, 1.2))
    blur_frac = float(rng.uniform(0.03, 0.2) if rng.random() < 0.75 else rng.uniform(0.2, 0.42))
    cover = contrast * smooth_step(inside / blur_frac * 0.5 + 0.5)
    image = np.asarray(skin * (1.0 - cover[..., None] * (1.0 - pigment)), dtype=np.float32)
    image, distractors = _distractors(rng, image, inside, unit)
    image, bubbles = _bubbles(rng, image, unit)
    image, ruler = _ruler(rng, image, unit)
    image, hairs = _hairs(rng, image, unit)
    image, vignette = _vignette(rng, image)
    finished, blur_px, noise = photograph(rng, image, unit)
    attributes = {
        "area_frac": float(mask.mean()),
        "contrast": contrast,
        "colours": float(pigments),
        "hairs": float(hairs),
        "border_blur": blur_frac,
        "irregularity": shape,
        "skin_tone": float(tone),
        "vignette": vignette,
        "bubbles": float(bubbles),
        "ruler": float(ruler),
        "distractors": float(distractors),
        "blur_px": blur_px,
        "noise": noise,
    }
    return finished, mask, attributes


def _lesion_field(rng: np.random.Generator, size: tuple[int, int]) -> tuple[F32, float]:
    """Returns (H, W), 1 at the centre, 0 on the border, negative outside; and how irregular the border is."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    kind = rng.random()
    mean_radius = min(size) * (rng.uniform(0.08, 0.18) if kind < 0.2 else rng.uniform(0.2, 0.42))
    spread = 0.05
    if kind > 0.82:  # reaches the frame
        mean_radius, spread = min(size) * rng.uniform(0.42, 0.62), 0.12
    center_y = height * (0.5 + rng.normal(0.0, spread))
    center_x = width * (0.5 + rng.normal(0.0, spread))
    angle, aspect = rng.uniform(0.0, np.pi), rng.uniform(1.0, 1.6)
    irregularity = float(rng.uniform(0.03, 0.2))
    bend = min(size) * 0.35 * irregularity  # the plane itself is warped, which gives bays and tongues
    x = x + bend * fractal_noise(rng, size, 0.3, 4)
    y = y + bend * fractal_noise(rng, size, 0.3, 4)
    along = (x - center_x) * np.cos(angle) + (y - center_y) * np.sin(angle)
    across = (y - center_y) * np.cos(angle) - (x - center_x) * np.sin(angle)
    along, across = along / np.sqrt(aspect), across * np.sqrt(aspect)
    theta = np.arctan2(across, along)
    radius = np.ones(size, dtype=np.float32)
    for wave in range(2, 8):
        radius += irregularity * rng.normal(0.0, 1.2) / wave * np.cos(wave * theta + rng.uniform(0, 2 * np.pi))
    field = 1.0 - np.hypot(along, across) / (mean_radius * np.maximum(radius, 0.3))
    return field.astype(np.float32), irregularity


def _skin(rng: np.random.Generator, size: tuple[int, int], tone: int) -> F32:
    """Returns (H, W, 3), 0-1: a tone, patches of blood, fine lines and light from one side."""
    height, width = size
    color = np.array(_SKINS[tone], dtype=np.float32) / 255.0 * rng.uniform(0.9, 1.04) + rng.normal(0, 0.012, 3)
    blood = fractal_noise(rng, size, 0.45, 3)[..., None] * rng.uniform(0.01, 0.035) * np.array([0.4, 1.0, 0.9])
    lines = fractal_noise(rng, size, 0.03, 2)[..., None] * rng.uniform(0.008, 0.025)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    side = rng.uniform(0, 2 * np.pi)
    light = 1.0 + rng.uniform(0.0, 0.12) * (np.cos(side) * x + np.sin(side) * y)
    return np.asarray((color - blood + lines) * light[..., None], dtype=np.float32)


def _pigment(rng: np.random.Generator, size: tuple[int, int], inside: F32) -> tuple[F32, int]:
    """Returns what (H, W, 3) the skin's colour is multiplied by inside the lesion, and the number of colours."""
    count = int(rng.choice([1, 2, 3, 4, 5], p=[0.22, 0.32, 0.24, 0.14, 0.08]))
    base = str(rng.choice(["light brown", "dark brown", "red"], p=[0.5, 0.42, 0.08]))
    others = [name for name in _PIGMENTS if name != base]
    chosen = [base, *rng.choice(others, count - 1, replace=False, p=_weights(others))]
    pigment = np.broadcast_to(np.array(_PIGMENTS[base], dtype=np.float32), (*size, 3)).copy()
    for name in chosen[1:]:
        patch = fractal_noise(rng, size, rng.uniform(0.15, 0.4), 4) + rng.uniform(-0.5, 2.0) * (inside - 0.4)
        limit, soft = rng.uniform(0.3, 1.0) if name == "white" else rng.uniform(-0.1, 0.5), rng.uniform(0.3, 1.1)
        where = smooth_step((patch - limit) / soft + 0.5)
        pigment = blend(pigment, np.array(_PIGMENTS[str(name)]), where * rng.uniform(0.6, 0.95))
    if rng.random() < 0.6:  # pigment network: a mesh, stronger towards the border
        cell = rng.uniform(0.018, 0.028)
        mesh = np.abs(fractal_noise(rng, size, cell, 1))
        strength = rng.uniform(0.1, 0.34) * smooth_step(1.1 - inside)
        pigment = pigment * (1.0 - strength * np.exp(-((mesh / 0.4) ** 2)))[..., None]
    if rng.random() < 0.45:  # globules
        dots = smooth_step((fractal_noise(rng, size, rng.uniform(0.014, 0.022), 1) - 1.2) / 0.9)
        pigment = blend(pigment, np.array(_PIGMENTS["dark brown"]) * 0.8, dots * rng.uniform(0.3, 0.7))
    core = 1.0 - rng.uniform(0.0, 0.3) * smooth_step(inside)[..., None]
    mottled = 1.0 + rng.uniform(0.03, 0.12) * fractal_noise(rng, size, 0.1, 4)
    return np.clip(pigment * core * mottled[..., None], 0.08, 1.15).astype(np.float32), count


def _weights(names: list[str]) -> list[float]:
    rare = {"white": 0.5, "blue-grey": 0.9, "red": 0.7, "black": 0.9}
    weights = [rare.get(name, 1.6) for name in names]
    return [weight / sum(weights) for weight in weights]


def _distractors(rng: np.random.Generator, image: F32, inside: F32, unit: float) -> tuple[F32, int]:
    """Adds freckles and blood vessels that are no lesion; they keep a distance from it."""
    height, width = image.shape[:2]
    count = int(rng.integers(1, 9)) if rng.random() < 0.45 else 0
    layer = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(layer)
    for _ in range(count):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(2, 7) * unit
        squeeze = rng.uniform(0.6, 1.0)
        pen.ellipse(
            (x - radius, y - radius * squeeze, x + radius, y + radius * squeeze), fill=int(rng.integers(90, 230))
        )
    spots = np.asarray(layer.filter(ImageFilter.GaussianBlur(1.6 * unit)), dtype=np.float32) / 255.0
    spots *= smooth_step(-inside / 0.15 - 0.3)
    absorbed = 0.75 * spots[..., None] * np.array([0.35, 0.5, 0.6], dtype=np.float32)
    return np.asarray(image * (1.0 - absorbed), dtype=np.float32), count


def _hairs(rng: np.random.Generator, image: F32, unit: float) -> tuple[F32, int]:
    height, width = image.shape[:2]
    count = int(rng.choice([0, int(rng.integers(1, 7)), int(rng.integers(7, 32))], p=[0.4, 0.35, 0.25]))
    layer = Image.new("L", (width * 3, height * 3), 0)
    pen = ImageDraw.Draw(layer)
    leaning = rng.uniform(0, np.pi)
    for _ in range(count):
        middle = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        angle = leaning + rng.normal(0, 0.5)
        half = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.15, 0.7) * width
        bow = np.array([-half[1], half[0]]) * rng.normal(0, 0.35)
        t = np.linspace(-1, 1, 24)[:, None]
        points = (middle + half * t + bow * (1 - t**2)) * 3
        line = [(float(px), float(py)) for px, py in points]
        pen.line(
            line, fill=int(rng.integers(150, 256)), width=max(1, round(rng.uniform(1.6, 4.5) * unit)), joint="curve"
        )
    strength = np.asarray(layer.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255.0
    color = np.array([0.14, 0.1, 0.09] if rng.random() < 0.85 else [0.82, 0.7, 0.5], dtype=np.float32)
    return blend(image, color, strength * rng.uniform(0.65, 0.95)), count


def _bubbles(rng: np.random.Generator, image: F32, unit: float) -> tuple[F32, int]:
    """Adds air bubbles of the immersion oil: a bright rim, a highlight, slightly brighter within."""
    height, width = image.shape[:2]
    count = int(rng.integers(1, 12)) if rng.random() < 0.3 else 0
    layer = Image.new("L", (width * 2, height * 2), 0)
    pen = ImageDraw.Draw(layer)
    for _ in range(count):
        x, y, radius = rng.uniform(0, 2 * width), rng.uniform(0, 2 * height), rng.uniform(3, 14) * unit
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=22, outline=120, width=2)
        glint = radius * 0.3
        x, y = x - radius * 0.35, y - radius * 0.35
        pen.ellipse((x - glint, y - glint, x + glint, y + glint), fill=235)
    light = np.asarray(layer.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255.0
    return blend(image, np.ones(3), light), count


def _ruler(rng: np.random.Generator, image: F32, unit: float) -> tuple[F32, bool]:
    if rng.random() > 0.15:
        return image, False
    height, width = image.shape[:2]
    layer = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(layer)
    vertical = bool(rng.random() < 0.5)
    step, edge = rng.uniform(7, 13) * unit, rng.uniform(2, 8) * unit
    for position in range(int((height if vertical else width) / step) + 1):
        length = (12 if position % 5 == 0 else 6) * unit
        at = position * step
        ends = (edge, at, edge + length, at) if vertical else (at, edge, at, edge + length)
        pen.line(ends, fill=210, width=max(1, round(unit)))
    return blend(image, np.array([0.08, 0.08, 0.1]), np.asarray(layer, dtype=np.float32) / 255.0), True


def _vignette(rng: np.random.Generator, image: F32) -> tuple[F32, float]:
    """Darkens the corners: softly (light falls off) or as the hard round edge of the lens."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    distance = np.hypot(x * width, y * height) / np.hypot(width, height)  # 1 in the corners
    kind = rng.random()
    if kind < 0.45:
        return image * (1.0 - rng.uniform(0.0, 0.2) * distance[..., None] ** 2).astype(np.float32), 0.0
    start, strength = (rng.uniform(0.68, 0.92), rng.uniform(0.5, 0.97))
    soft = 0.02 if kind > 0.75 else rng.uniform(0.15, 0.45)
    shade = strength * smooth_step((distance - start) / soft + 0.5)
    return np.asarray(image * (1.0 - shade[..., None]), dtype=np.float32), float(strength)
