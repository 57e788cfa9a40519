"""Draws street scenes: boxes on a ground plane, seen through a pinhole camera, far things first.

Metres: X to the right, Y up from the ground, Z ahead of the camera. Colours 0-255, labels as `STREET_CLASSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from segbench.data.synthetic.texture import blend, fractal_noise, photograph, smooth_step

U8: TypeAlias = npt.NDArray[np.uint8]
F32: TypeAlias = npt.NDArray[np.float32]
Color: TypeAlias = tuple[float, float, float]
Point: TypeAlias = tuple[float, float, float]

STREET_ATTRIBUTES = (
    *("road_frac", "building_frac", "vehicle_frac", "vehicles", "trees", "people"),
    *("fog", "brightness", "shadows", "blur_px", "noise"),
)
BACKGROUND, ROAD, BUILDING, VEHICLE = range(4)

_SKIES: tuple[tuple[Color, Color], ...] = (
    ((96, 148, 214), (198, 220, 240)),
    ((176, 184, 194), (214, 218, 222)),
    ((122, 132, 150), (236, 196, 156)),
    ((140, 176, 220), (224, 230, 232)),
)
_WALLS: tuple[Color, ...] = (
    *((178, 122, 98), (206, 190, 160), (158, 158, 160), (222, 216, 204), (126, 96, 82)),
    *((196, 168, 124), (148, 164, 176), (104, 108, 114), (214, 180, 160)),
)
_CARS: tuple[Color, ...] = (
    *((228, 228, 230), (46, 48, 52), (128, 130, 134), (154, 34, 34), (36, 66, 124), (176, 178, 180)),
    *((70, 88, 72), (198, 160, 60), (88, 90, 96)),
)


class _Scene:
    """A canvas at twice the size, with a label and a visibility (0 far in the fog, 255 near) for every pixel."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.height, self.width = size[0] * 2, size[1] * 2
        self.horizon = self.height * rng.uniform(0.38, 0.52)
        self.center = self.width * rng.uniform(0.32, 0.68)
        self.focal = max(size) * 2 * rng.uniform(0.7, 1.0)
        self.eye_m = rng.uniform(1.3, 2.4)
        self.sun = 1 if rng.random() < 0.5 else -1
        shape = (self.width, self.height)
        self.image, self.labels = Image.new("RGB", shape), Image.new("L", shape, BACKGROUND)
        self.visibility = Image.new("L", shape, 0)
        self.pens = [ImageDraw.Draw(each) for each in (self.image, self.labels, self.visibility)]

    def project(self, point: Point) -> tuple[float, float]:
        x, y, z = point
        return self.center + self.focal * x / z, self.horizon + self.focal * (self.eye_m - y) / z

    def polygon(self, points: Sequence[Point], color: Sequence[float], label: int, shade: float = 1.0) -> None:
        flat = [self.project(point) for point in points]
        visible = int(255 * np.exp(-np.mean([point[2] for point in points]) / 90.0))
        fills: list[int | tuple[int, ...]] = [_rgb(color, shade), label, visible]
        for pen, fill in zip(self.pens, fills, strict=True):
            pen.polygon(flat, fill=fill)

    def ellipse(self, point: Point, radii_m: tuple[float, float], color: Sequence[float], label: int) -> None:
        x, y = self.project(point)
        half_x, half_y = (self.focal * radius / point[2] for radius in radii_m)
        visible = int(255 * np.exp(-point[2] / 90.0))
        fills: list[int | tuple[int, ...]] = [_rgb(color), label, visible]
        for pen, fill in zip(self.pens, fills, strict=True):
            pen.ellipse((x - half_x, y - half_y, x + half_x, y + half_y), fill=fill)

    def wall(self, low: Point, high: Point, color: Sequence[float], label: int, shade: float = 1.0) -> None:
        """Draws an upright rectangle between two opposite corners (low one first)."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        self.polygon([(x0, y0, z0), (x1, y0, z1), (x1, y1, z1), (x0, y1, z0)], color, label, shade)


def draw_street(rng: np.random.Generator, size: tuple[int, int]) -> tuple[U8, U8, dict[str, float]]:
    """Returns image (H, W, 3) uint8, class indices (H, W) uint8, and the values of `STREET_ATTRIBUTES`."""
    scene = _Scene(rng, size)
    half_m = float(rng.uniform(3.0, 6.0))
    _sky(scene)
    _ground(scene, half_m)
    things: list[tuple[float, Callable[[], None]]] = []
    counts = {"vehicles": 0, "trees": 0, "people": 0}
    for side in (-1, 1):
        things += _row_of_buildings(scene, side, half_m)
        things += _roadside(scene, side, half_m, counts)
    things += _traffic(scene, half_m, counts)
    for _, draw in sorted(things, key=lambda thing: -thing[0]):
        draw()
    labels = np.asarray(scene.labels)[::2, ::2].copy()
    image, conditions = _light(rng, scene, size)
    finished, blur_px, noise = photograph(rng, image, min(size) / 192.0)
    shares = {
        f"{name}_frac": float((labels == index).mean())
        for index, name in ((ROAD, "road"), (BUILDING, "building"), (VEHICLE, "vehicle"))
    }
    drawn = {name: float(count) for name, count in counts.items()}
    return finished, labels, {**shares, **drawn, **conditions, "blur_px": blur_px, "noise": noise}


def _rgb(color: Sequence[float], shade: float = 1.0) -> tuple[int, int, int]:
    red, green, blue = (int(min(max(channel * shade, 0.0), 255.0)) for channel in color)
    return red, green, blue


def _vary(rng: np.random.Generator, color: Sequence[float], spread: float = 12.0) -> Color:
    red, green, blue = np.array(color) * rng.uniform(0.85, 1.1) + rng.normal(0.0, spread / 2, 3)
    return float(red), float(green), float(blue)


def _sky(scene: _Scene) -> None:
    rng, size = scene.rng, (scene.height, scene.width)
    top, bottom = (np.array(color, dtype=np.float32) for color in _SKIES[int(rng.integers(len(_SKIES)))])
    share = np.clip(np.arange(size[0], dtype=np.float32) / scene.horizon, 0.0, 1.0)[:, None, None]
    sky = np.broadcast_to(top + (bottom - top) * share, (*size, 3)).astype(np.float32)
    clouds = smooth_step((fractal_noise(rng, size, 0.6, 3) - rng.uniform(-0.5, 1.5)) / 1.5) * rng.uniform(0.2, 0.8)
    sky = blend(sky, np.array([238.0, 238.0, 240.0]), clouds)
    ridge = scene.horizon - scene.height * (0.02 + 0.02 * np.abs(fractal_noise(rng, (8, scene.width), 2.0, 4)[0]))
    hills = np.arange(size[0])[:, None] > ridge[None, :]
    sky[hills] = np.array(_vary(rng, (104, 122, 110), 20), dtype=np.float32)
    scene.image.paste(Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8)))


def _ground(scene: _Scene, half_m: float) -> None:
    rng, far, near = scene.rng, 400.0, 0.7
    verge = _vary(rng, (108, 124, 76) if rng.random() < 0.4 else (156, 152, 146), 14)
    asphalt = _vary(rng, (98, 98, 102) if rng.random() < 0.75 else (136, 130, 124), 8)
    wide = 2000.0
    scene.polygon([(-wide, 0, far), (wide, 0, far), (wide, 0, near), (-wide, 0, near)], verge, BACKGROUND)
    for x0, x1, color, label in (
        (-half_m - 0.3, half_m + 0.3, (176, 174, 168), BACKGROUND),  # kerb
        (-half_m, half_m, asphalt, ROAD),
    ):
        scene.polygon([(x0, 0, far), (x1, 0, far), (x1, 0, near), (x0, 0, near)], color, label)
    paint, solid = _vary(rng, (216, 214, 206), 6), rng.random() < 0.3
    for z in np.arange(near, 90.0, 1.0 if solid else 6.0):
        length = 1.0 if solid else 2.5
        scene.polygon([(-0.08, 0, z), (0.08, 0, z), (0.08, 0, z + length), (-0.08, 0, z + length)], paint, ROAD)
    if rng.random() < 0.3:  # zebra crossing
        z = rng.uniform(5.0, 16.0)
        for x in np.arange(-half_m + 0.4, half_m - 0.6, 1.1):
            scene.polygon([(x, 0, z), (x + 0.55, 0, z), (x + 0.55, 0, z + 3), (x, 0, z + 3)], paint, ROAD)
    for _ in range(int(rng.integers(0, 5))):  # patches and drains
        x, z = rng.uniform(-half_m + 0.5, half_m - 1.5), rng.uniform(3.0, 25.0)
        patch = [(x, 0.0, z), (x + 1.2, 0.0, z), (x + 1.3, 0.0, z + 2), (x + 0.1, 0.0, z + 2)]
        scene.polygon(patch, asphalt, ROAD, rng.uniform(0.72, 0.92))


def _row_of_buildings(scene: _Scene, side: int, half_m: float) -> list[tuple[float, Callable[[], None]]]:
    rng = scene.rng
    setback, gap = rng.uniform(1.5, 6.0), rng.choice([0.0, rng.uniform(1.0, 7.0)])
    storeys, density = rng.uniform(2.0, 6.0), rng.uniform(0.55, 1.0)
    z, row = float(rng.uniform(0.8, 6.0)), []
    while z < 110.0:
        length = float(rng.uniform(7.0, 20.0))
        if rng.random() < density:
            x = side * (half_m + setback + rng.uniform(0.0, 1.5))
            floors = max(1, round(storeys + rng.normal(0.0, 1.2)))
            row.append((z, _building(scene, side, (x, z, z + length), floors)))
        z += length + float(gap)
    return row


def _building(scene: _Scene, side: int, place: tuple[float, float, float], floors: int) -> Callable[[], None]:
    rng, (x, z0, z1) = scene.rng, place
    color, glass = _vary(rng, _WALLS[int(rng.integers(len(_WALLS)))], 16), _vary(rng, (70, 82, 98), 14)
    height, depth = floors * 3.1 + 0.6, float(rng.uniform(6.0, 12.0))
    street_shade, end_shade = (1.0, 0.72) if scene.sun != side else (0.68, 0.92)
    pane, frame, shop = rng.uniform(0.7, 1.5), rng.uniform(2.0, 3.4), bool(rng.random() < 0.4)
    gable = bool(floors <= 3 and rng.random() < 0.6)
    roof = _vary(rng, (132, 72, 58) if rng.random() < 0.5 else (84, 82, 84), 12)
    lit = rng.uniform(0.6, 1.5, (floors, 64))

    def draw() -> None:
        back = x + side * depth
        scene.wall((x, 0, z0), (back, height, z0), color, BUILDING, end_shade)
        scene.wall((x, 0, z0), (x, height, z1), color, BUILDING, street_shade)
        if gable:
            ridge = (x + back) / 2, height + 2.6
            scene.polygon([(x, height, z0), (back, height, z0), (*ridge, z0)], color, BUILDING, end_shade)
            eaves = [(x, height, z0), (x, height, z1), (*ridge, z1), (*ridge, z0)]
            scene.polygon(eaves, roof, BUILDING, street_shade)
        else:
            scene.wall((x, height - 0.35, z0), (x, height, z1), color, BUILDING, street_shade * 0.8)
        for floor in range(floors):
            low = floor * 3.1 + (0.9 if floor or not shop else 0.3)
            high, wide = floor * 3.1 + 2.5, pane if floor or not shop else frame * 0.85
            for column, z in enumerate(np.arange(z0 + 0.6, z1 - wide - 0.2, frame)):
                shade = street_shade * float(lit[floor, column % 64])
                scene.wall((x, low, z), (x, high, z + wide), glass, BUILDING, shade)
            for column, across in enumerate(np.arange(0.8, depth - 1.4, frame * 1.2)):
                start = x + side * across
                shade = end_shade * float(lit[floor, -1 - column])
                scene.wall((start, low, z0), (start + side * 1.0, high, z0), glass, BUILDING, shade)

    return draw


def _roadside(
    scene: _Scene, side: int, half_m: float, counts: dict[str, int]
) -> list[tuple[float, Callable[[], None]]]:
    rng = scene.rng
    things: list[tuple[float, Callable[[], None]]] = []
    spacing, trees = rng.uniform(7.0, 16.0), rng.random() < 0.6
    for z in np.arange(rng.uniform(4.0, 12.0), 80.0, spacing):
        x = side * (half_m + rng.uniform(0.8, 1.6))
        if trees and rng.random() < 0.85:
            things.append((float(z), _tree(scene, (x, 0.0, float(z)))))
            counts["trees"] += 1
        elif rng.random() < 0.5:
            things.append((float(z), _pole(scene, side, (x, 0.0, float(z)))))
    for _ in range(int(rng.poisson(1.2))):
        z = float(rng.uniform(5.0, 35.0))
        things.append((z, _person(scene, (side * (half_m + rng.uniform(0.5, 1.5)), 0.0, z))))
        counts["people"] += 1
    return things


def _tree(scene: _Scene, place: Point) -> Callable[[], None]:
    rng, (x, _, z) = scene.rng, place
    height, crown = rng.uniform(3.5, 8.0), rng.uniform(1.0, 2.2)
    leaf = _vary(rng, (72, 104, 50) if rng.random() < 0.8 else (156, 118, 48), 18)
    trunk = _vary(rng, (88, 70, 54), 8)
    offsets = rng.normal(0.0, 0.42, (70, 2)) * crown
    shades, radii = rng.uniform(0.55, 1.25, 70), rng.uniform(0.16, 0.42, 70) * crown

    def draw() -> None:
        scene.wall((x - 0.13, 0, z), (x + 0.13, height - crown * 0.4, z), trunk, BACKGROUND)
        for (dx, dy), shade, radius in zip(offsets, shades, radii, strict=True):
            light = [channel * shade * (1.0 + 0.12 * dy / crown) for channel in leaf]
            scene.ellipse((x + dx, height + dy, z), (radius, radius * 0.8), light, BACKGROUND)

    return draw


def _pole(scene: _Scene, side: int, place: Point) -> Callable[[], None]:
    rng, (x, _, z) = scene.rng, place
    color, sign, height = _vary(rng, (92, 94, 96), 12), rng.random() < 0.5, float(rng.uniform(2.6, 6.5))
    plate = _vary(rng, ((178, 42, 40), (40, 78, 158), (226, 200, 60))[int(rng.integers(3))], 10)

    def draw() -> None:
        scene.wall((x - 0.06, 0, z), (x + 0.06, height, z), color, BACKGROUND)
        if sign:
            scene.ellipse((x, height, z), (0.35, 0.35), plate, BACKGROUND)
        else:
            scene.wall((x, height - 0.1, z), (x - side * 1.4, height, z), color, BACKGROUND)

    return draw


def _person(scene: _Scene, place: Point) -> Callable[[], None]:
    rng, (x, _, z) = scene.rng, place
    coat, legs = _vary(rng, _CARS[int(rng.integers(len(_CARS)))], 20), _vary(rng, (52, 56, 74), 16)
    skin, tall = _vary(rng, (206, 164, 138), 24), float(rng.uniform(0.9, 1.08))

    def draw() -> None:
        scene.wall((x - 0.2, 0, z), (x - 0.03, 0.85 * tall, z), legs, BACKGROUND)
        scene.wall((x + 0.03, 0, z), (x + 0.2, 0.85 * tall, z), legs, BACKGROUND)
        scene.ellipse((x, 1.13 * tall, z), (0.27, 0.4), coat, BACKGROUND)
        scene.ellipse((x, 1.62 * tall, z), (0.12, 0.15), skin, BACKGROUND)

    return draw


def _traffic(scene: _Scene, half_m: float, counts: dict[str, int]) -> list[tuple[float, Callable[[], None]]]:
    rng = scene.rng
    things: list[tuple[float, Callable[[], None]]] = []
    parked = rng.random(2) < 0.45
    for lane, x in enumerate((-half_m + 1.1, -half_m * 0.42, half_m * 0.42, half_m - 1.1)):
        at_kerb = lane in (0, 3)
        if at_kerb and not (parked[lane // 3] and half_m > 3.8):
            continue
        z = float(rng.uniform(4.0, 14.0) if at_kerb else rng.uniform(6.0, 45.0))
        while z < 75.0:
            large = not at_kerb and rng.random() < 0.16
            things.append((z, _vehicle(scene, (x + rng.normal(0.0, 0.12), 0.0, z), large, towards=lane < 2)))
            counts["vehicles"] += 1
            z += float(rng.uniform(5.2, 12.0) if at_kerb else rng.uniform(12.0, 50.0))
    return things


def _vehicle(scene: _Scene, place: Point, large: bool, *, towards: bool) -> Callable[[], None]:
    rng, (x, _, z0) = scene.rng, place
    color = _vary(rng, _CARS[int(rng.integers(len(_CARS)))], 14)
    half, length = (1.2, rng.uniform(6.0, 10.0)) if large else (rng.uniform(0.82, 0.95), rng.uniform(3.8, 4.6))
    body, roof = (1.0, rng.uniform(2.6, 3.3)) if large else (0.85, rng.uniform(1.38, 1.75))
    z1 = z0 + float(length)
    glass, tyre = _vary(rng, (44, 52, 62), 14), (24, 24, 26)
    lamp = (236, 232, 210) if towards else (186, 26, 24)
    start, end, lean = (z0, z1, 0.02) if large else (z0 + 0.35, z1 - 1.1, 0.17)
    seen = x - half if x > 0 else x + half  # the side that faces the camera

    def draw() -> None:
        shadow = [(x - half - 0.15, 0, z0 - 0.1), (x + half + 0.15, 0, z0 - 0.1)]
        shadow += [(x + half + 0.15, 0, z1), (x - half - 0.15, 0, z1)]
        scene.polygon(shadow, (34, 34, 38), ROAD)
        side_shade = 0.95 if (scene.sun > 0) == (x < 0) else 0.66
        top = x - (half - lean if x > 0 else lean - half)
        scene.wall((seen, 0.22, z0), (seen, body, z1), color, VEHICLE, side_shade)
        cabin = [(seen, body, start), (seen, body, end), (top, roof, end - lean * 3), (top, roof, start + lean * 2)]
        scene.polygon(cabin, color if large else glass, VEHICLE, side_shade)
        for z in (z0 + 0.7, z1 - 0.8):
            rim = [(seen, 0.33 + 0.33 * np.sin(turn), z + 0.33 * np.cos(turn)) for turn in np.linspace(0, 6.0, 14)]
            scene.polygon(rim, tyre, VEHICLE)
        for at in (-half + 0.05, half - 0.33):
            scene.wall((x + at, 0.0, z0), (x + at + 0.28, 0.4, z0), tyre, VEHICLE)
        scene.wall((x - half, 0.22, z0), (x + half, body, z0), color, VEHICLE, 0.85)
        hood = [(x - half, body, z0), (x + half, body, z0), (x + half, body, start), (x - half, body, start)]
        scene.polygon(hood, color, VEHICLE)
        back = [(x - half, body, start), (x + half, body, start)]
        back += [(x + half - lean, roof, start + lean * 2), (x - half + lean, roof, start + lean * 2)]
        scene.polygon(back, color, VEHICLE, 0.9)
        low, high = body + 0.06 + 0.5 * large, roof - 0.12
        window = [(x - half + 0.12, low, start), (x + half - 0.12, low, start)]
        window += [(x + half - lean - 0.1, high, start), (x - half + lean + 0.1, high, start)]
        scene.polygon(window, glass, VEHICLE)
        for at in (-half + 0.05, half - 0.4):
            scene.wall((x + at, 0.58, z0), (x + at + 0.35, 0.76, z0), lamp, VEHICLE)
        scene.wall((x - 0.26, 0.38, z0), (x + 0.26, 0.5, z0), (222, 222, 214), VEHICLE)

    return draw


def _light(rng: np.random.Generator, scene: _Scene, size: tuple[int, int]) -> tuple[F32, dict[str, float]]:
    """Returns the canvas at its final size, 0-1, with grain, shadows, fog and time of day; and how much of each."""
    shape = (size[1], size[0])
    image = np.asarray(scene.image.resize(shape, Image.Resampling.BOX), dtype=np.float32) / 255.0
    near = np.asarray(scene.visibility.resize(shape, Image.Resampling.BOX), dtype=np.float32) / 255.0
    ground = near > 0  # everything but the sky
    grain = 0.05 * fractal_noise(rng, size, 0.25, 4) + 0.035 * fractal_noise(rng, size, 0.02, 1)
    image = image * (1.0 + np.where(ground, grain, 0.3 * grain))[..., None]
    shadows = float(rng.uniform(0.25, 0.55)) if rng.random() < 0.45 else 0.0
    patches = smooth_step((fractal_noise(rng, size, 0.35, 2) - 0.2) / 0.35)
    below = smooth_step((np.arange(size[0], dtype=np.float32) - scene.horizon / 2) / (0.12 * size[0]))[:, None]
    image = image * (1.0 - shadows * patches * below * ground)[..., None]
    fog = float(rng.uniform(0.35, 0.95)) if rng.random() < 0.35 else 0.12
    haze = image[: max(size[0] // 4, 1)].mean(axis=(0, 1))
    image = blend(image.astype(np.float32), haze, fog * (1.0 - near) * ground)
    brightness = float(rng.uniform(0.28, 0.6) if rng.random() < 0.2 else rng.uniform(0.8, 1.12))
    tint = np.array([0.92, 0.97, 1.1]) if brightness < 0.6 else rng.normal(1.0, 0.02, 3)
    lit = np.asarray(image * tint * brightness, dtype=np.float32)
    return lit, {"fog": fog, "brightness": brightness, "shadows": shadows}
