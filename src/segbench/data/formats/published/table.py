"""The sets: by which folders and names each is recognised, and what its masks hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segbench.data.formats.cityscapes.labels import LABELS
from segbench.types import MaskValue


@dataclass(frozen=True, kw_only=True)
class PublishedSet:
    """A set; folders beside each other, at any depth, hold its images and its masks.

    Attributes:
        title: as people call it, with its source.
        home: regular expression of the name of the folder that holds both; "" for any.
        images, masks: patterns (fnmatch) of the two folders' names; the same where one folder holds both.
        image, mask: regular expressions of file names without suffix; their group is what an image and its mask share.
        classes: name -> number or colour.
        ignore: numbers or colours that count nowhere.
        background: class that is the background; None where every pixel belongs to something.
        group: regular expression with a group, searched in a sample's id.
    """

    title: str
    home: str = ""
    images: str
    masks: str
    image: str
    mask: str
    classes: Mapping[str, MaskValue]
    ignore: tuple[MaskValue, ...] = ()
    background: str | None = None
    group: str | None = None


def _numbered(first: int, names: str) -> dict[str, MaskValue]:
    return {name.strip(): number for number, name in enumerate(names.split(","), first)}


_ORTHOPHOTO = r"[MN]-3[34]-\d+-[A-D]-[a-d]-\d-\d"
_ISPRS: dict[str, MaskValue] = {
    "impervious surface": (255, 255, 255),
    "building": (0, 0, 255),
    "low vegetation": (0, 255, 255),
    "tree": (0, 255, 0),
    "car": (255, 255, 0),
    "clutter": (255, 0, 0),
}
_TRAINED: dict[str, MaskValue] = {name: train_id for name, (_, train_id, _) in LABELS.items() if train_id is not None}

SETS: dict[str, PublishedSet] = {
    "acdc": PublishedSet(
        title="ACDC (Sakaridis et al. 2021)",
        images="rgb_anon",
        masks="gt",
        image=r"(.+)_rgb_anon",
        mask=r"(.+)_gt_labelTrainIds",
        classes=_TRAINED,
        ignore=(255,),
        group=r"^(GOPR\d+|GP\d+)",
    ),
    "floodnet": PublishedSet(
        title="FloodNet (Rahnemoonfar et al. 2021)",
        images="*-org-img",
        masks="*-label-img",
        image=r"(\d+)",
        mask=r"(\d+)_lab",
        classes=_numbered(
            0,
            "background, building flooded, building non-flooded, road flooded, road non-flooded, water, tree, vehicle, "
            "pool, grass",
        ),
        background="background",
    ),
    "isaid": PublishedSet(
        title="iSAID (Waqas Zamir et al. 2019)",
        images="images",
        masks="*asks",
        image=r"(P\d+(?:_\d+)*)",
        mask=r"(P\d+(?:_\d+)*)_instance_color_RGB",
        classes={
            "background": (0, 0, 0),
            "ship": (0, 0, 63),
            "storage tank": (0, 63, 63),
            "baseball diamond": (0, 63, 0),
            "tennis court": (0, 63, 127),
            "basketball court": (0, 63, 191),
            "ground track field": (0, 63, 255),
            "bridge": (0, 127, 63),
            "large vehicle": (0, 127, 127),
            "small vehicle": (0, 0, 127),
            "helicopter": (0, 0, 191),
            "swimming pool": (0, 0, 255),
            "roundabout": (0, 191, 127),
            "soccer ball field": (0, 127, 191),
            "plane": (0, 127, 255),
            "harbor": (0, 100, 155),
        },
        background="background",
        group=r"(P\d+)",
    ),
    "landcover_ai": PublishedSet(
        title="LandCover.ai (Boguszewski et al. 2021)",
        images="images",
        masks="masks",
        image=rf"({_ORTHOPHOTO})",
        mask=rf"({_ORTHOPHOTO})",
        classes=_numbered(0, "background, building, woodland, water, road"),
        background="background",
    ),
    "landcover_ai_tiles": PublishedSet(
        title="LandCover.ai, cut by its own script (Boguszewski et al. 2021)",
        images="output",
        masks="output",
        image=rf"({_ORTHOPHOTO}_\d+)",
        mask=rf"({_ORTHOPHOTO}_\d+)_m",
        classes=_numbered(0, "background, building, woodland, water, road"),
        background="background",
        group=rf"({_ORTHOPHOTO})",
    ),
    "loveda": PublishedSet(
        title="LoveDA (Wang et al. 2021)",
        images="images_png",
        masks="masks_png",
        image=r"(\d+)",
        mask=r"(\d+)",
        classes=_numbered(1, "background, building, road, water, barren, forest, agriculture"),
        ignore=(0,),
        background="background",
    ),
    "pascal_context": PublishedSet(
        title="Pascal Context, 59 classes (Mottaghi et al. 2014)",
        images="JPEGImages",
        masks="SegmentationClassContext",
        image=r"(.+)",
        mask=r"(.+)",
        classes=_numbered(
            0,
            "background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building, bus, "
            "cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence, floor, flower, "
            "food, grass, ground, horse, keyboard, light, motorbike, mountain, mouse, person, plate, platform, "
            "pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky, snow, sofa, table, track, train, tree, "
            "truck, tvmonitor, wall, water, window, wood",
        ),
        ignore=(255,),
        background="background",
    ),
    "potsdam": PublishedSet(
        title="ISPRS Potsdam (Rottensteiner et al. 2014)",
        images="[23]_Ortho_*",
        masks="5_Labels_*",
        image=r"top_potsdam_(\d+_\d+)_(?:RGB|IRRG)",
        mask=r"top_potsdam_(\d+_\d+)_label(?:_noBoundary)?",
        classes=_ISPRS,
        ignore=((0, 0, 0),),
    ),
    "semantic_drone": PublishedSet(
        title="Semantic Drone Dataset (Graz University of Technology 2019)",
        images="original_images",
        masks="label_images_semantic",
        image=r"(\d+)",
        mask=r"(\d+)",
        classes=_numbered(
            0,
            "unlabeled, paved area, dirt, grass, gravel, water, rocks, pool, vegetation, roof, wall, window, door, "
            "fence, fence pole, person, dog, car, bicycle, tree, bald tree, AR marker, obstacle, conflicting",
        ),
    ),
    "uavid": PublishedSet(
        title="UAVid (Lyu et al. 2020)",
        home=r"seq\d+",
        images="Images",
        masks="Labels",
        image=r"(\d+)",
        mask=r"(\d+)",
        classes={
            "background clutter": (0, 0, 0),
            "building": (128, 0, 0),
            "road": (128, 64, 128),
            "static car": (192, 0, 192),
            "tree": (0, 128, 0),
            "low vegetation": (128, 128, 0),
            "human": (64, 64, 0),
            "moving car": (64, 0, 128),
        },
        group=r"(seq\d+)",
    ),
    "vaihingen": PublishedSet(
        title="ISPRS Vaihingen (Rottensteiner et al. 2014)",
        images="top",
        masks="gts_for_participants",
        image=r"top_mosaic_09cm_(area\d+)",
        mask=r"top_mosaic_09cm_(area\d+)(?:_noBoundary)?",
        classes=_ISPRS,
        ignore=((0, 0, 0),),
    ),
}
