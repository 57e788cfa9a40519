"""Folders of images and masks as people lay them out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cases.case import Asks, Case, Reads, check, reported

SIDE = 24


def picture(path: Path) -> None:
    """Writes a picture of 24 x 24 pixels in many colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def mask(path: Path, rows: int, value: int = 255, first: int = 0) -> None:
    """Writes a mask whose `rows` rows from `first` on are the object: 24 pixels each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((SIDE, SIDE), dtype=np.uint8)
    values[first : first + rows] = value
    Image.fromarray(values).save(path)


def pairs(image: str, label: str, names: str = "abcd", rows: int = 3, value: int = 255) -> Callable[[Path], None]:
    """Returns what writes a picture and a mask for each name, at places such as `images/{}.png`."""

    def build(root: Path) -> None:
        for name in names.split() if " " in names else names:
            picture(root / image.format(name))
            mask(root / label.format(name), rows, value)

    return build


def both(*builders: Callable[[Path], None]) -> Callable[[Path], None]:
    """Returns what writes several things into one folder."""

    def build(root: Path) -> None:
        for builder in builders:
            builder(root)

    return build


def pictures(place: str, names: Iterable[str]) -> Callable[[Path], None]:
    """Returns what writes pictures without masks."""

    def build(root: Path) -> None:
        for name in names:
            picture(root / place.format(name))

    return build


def labels(place: str, names: Iterable[str], rows: int, value: int = 255, first: int = 0) -> Callable[[Path], None]:
    """Returns what writes more masks."""

    def build(root: Path) -> None:
        for name in names:
            mask(root / place.format(name), rows, value, first)

    return build


def junk(*places: str) -> Callable[[Path], None]:
    """Returns what writes files that are no images."""

    def build(root: Path) -> None:
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(b"no image")

    return build


def busi(root: Path) -> None:
    for name, rows in (("benign (1)", 2), ("benign (2)", 3)):
        picture(root / "benign" / f"{name}.png")
        mask(root / "benign" / f"{name}_mask.png", rows)
    mask(root / "benign" / "benign (2)_mask_1.png", 4, first=10)
    picture(root / "normal" / "normal (1).png")
    mask(root / "normal" / "normal (1)_mask.png", 0)
    picture(root / "malignant" / "malignant (1).png")
    mask(root / "malignant" / "malignant (1)_mask.png", 5)


def nuclei(root: Path) -> None:
    for case, number in (("0a1f", 3), ("7be2", 1), ("c93d", 2)):
        picture(root / "stage1_train" / case / "images" / f"{case}.png")
        for place in range(number):
            mask(
                root / "stage1_train" / case / "masks" / f"{case}{place}f{zlib.crc32(case.encode())}.png",
                2,
                first=4 * place,
            )
    picture(root / "stage1_test" / "d001" / "images" / "d001.png")
    picture(root / "stage1_test" / "d002" / "images" / "d002.png")


def labelme_export(root: Path) -> None:
    for case in ("one_json", "two_json"):
        picture(root / case / "img.png")
        picture(root / case / "label_viz.png")
        mask(root / case / "label.png", 4, value=1)
        (root / case / "label_names.txt").write_text("_background_\ncat\n")


SQUARES = {"foreground": 72}  # 3 rows of 24 pixels
TWO = {"foreground": 48}

CASES = [
    Case(
        name="drive_vessels",
        source="rezazad68/BCDU-Net#7",
        situation="images/, 1st_manual/ (vessels), mask/ (field of view), in training/ and test/",
        build=reported("33_drive_vessels"),
        expect=Asks(
            says=("1st_manual", "mask", "86%", "16%"),
            answer={"masks": "1st_manual"},
            then=Reads(
                samples=6,
                pixels={"training/21": {"foreground": 120}, "test/02": {"foreground": 120}},
                splits={"training/21": "train", "test/01": "test"},
            ),
        ),
    ),
    Case(
        name="lgg_patients",
        source="TheLion-ai/UMIE_datasets#122",
        situation="a folder per patient with x.tif and x_mask.tif",
        build=reported("36_lgg_mri_patient_folders"),
        expect=Reads(
            samples=9,
            classes=("background", "foreground"),
            pixels={
                "TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_2": {"foreground": 120},
                "TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1": {"foreground": 0},
            },
            groups={"TCGA_DU_5849_19950405/TCGA_DU_5849_19950405_3": "TCGA_DU_5849_19950405"},
            told=("3 folders laid out alike were read as one set",),
        ),
    ),
    Case(
        name="lgg_patients_with_suffix",
        source="TheLion-ai/UMIE_datasets#122",
        situation="the same with mask_suffix given",
        build=reported("36_lgg_mri_patient_folders"),
        options={"mask_suffix": "_mask"},
        expect=Reads(samples=9),
    ),
    Case(
        name="deepglobe",
        source="own",
        situation="train/ x_sat.jpg and x_mask.png, valid/ images only, colours in class_dict.csv",
        build=reported("41_deepglobe_sat_mask"),
        expect=Asks(
            says=("unknown",),
            answer={"ignore": [[0, 0, 0]]},
            then=Reads(
                samples=4,
                pixels={"train/119": {"urban_land": 528, "agriculture_land": 120, "ignored": 120}},
                splits={"train/606": "train"},
                told=("2 images without labels in valid/, for predict",),
            ),
        ),
    ),
    Case(
        name="bdd_masks",
        source="own",
        situation="labels/sem_seg/masks and labels/sem_seg/colormaps, the masks chosen",
        build=reported("50_bdd100k"),
        options={
            "images": "images/10k",
            "masks": "labels/sem_seg/masks",
            "classes": {"road": 0, "car": 13},
            "ignore": [255],
        },
        expect=Reads(
            samples=6,
            pixels={"train/train1": {"road": 584, "car": 120, "ignored": 64}},
            splits={"train/train1": "train", "val/val2": "val"},
        ),
    ),
    Case(
        name="bdd_masks_alone",
        source="destiny301/dpr#1",
        situation="only the masks' folder is chosen",
        build=reported("50_bdd100k"),
        options={"masks": "labels/sem_seg/masks", "classes": {"road": 0, "car": 13}, "ignore": [255]},
        expect=Reads(samples=6, pixels={"val/val3": {"car": 120}}, splits={"val/val3": "val"}),
    ),
    Case(
        name="bdd_colormaps",
        source="destiny301/dpr#1",
        situation="the colours are chosen",
        build=reported("50_bdd100k"),
        options={"masks": "labels/sem_seg/colormaps", "classes": {"road": "#804080", "other": "#000000"}},
        expect=Reads(samples=6, pixels={"val/val3": {"road": 120, "other": 648}}),
    ),
    Case(
        name="lidc_scan_area",
        source="TesterTi/LIDCToolbox#4",
        situation="images/, gts/ (nodules) and masks/ (the scanned area)",
        build=both(pairs("images/{}.png", "gts/{}.png"), labels("masks/{}.png", "abcd", 20)),
        expect=Asks(
            says=("gts", "masks", "12%", "83%"),
            answer={"masks": "gts"},
            then=Reads(samples=4, pixels={"a": SQUARES}),
        ),
    ),
    Case(
        name="drive_without_test_labels",
        source="rezazad68/BCDU-Net#4",
        situation="DRIVE as it is given out now: test/ has images and the field of view only",
        build=both(
            pairs("training/images/{}_training.png", "training/1st_manual/{}_manual1.png", "21 22 23"),
            labels("training/mask/{}_training_mask.png", ("21", "22", "23"), 20),
            pairs("test/images/{}_test.png", "test/mask/{}_test_mask.png", "01 02", rows=20),
        ),
        expect=Asks(
            says=("1st_manual", "mask"),
            answer={"masks": "1st_manual"},
            then=Reads(
                samples=3,
                pixels={"training/21": SQUARES},
                told=("2 images without labels in test/, for predict",),
            ),
        ),
    ),
    Case(
        name="photographs_beside_masks",
        source="own",
        situation="images/, masks/ and overlays/: pictures are no labels, so nothing is asked",
        build=both(pairs("images/{}.png", "masks/{}.png"), pictures("overlays/{}.png", "abcd")),
        expect=Reads(samples=4, pixels={"a": SQUARES}),
    ),
    Case(
        name="busi",
        source="Jiaoyang45/Rolling-Unet#11, FengheTan9/CMUNeXt#3",
        situation="benign/, malignant/, normal/ with x_mask.png and, for a second lesion, x_mask_1.png",
        build=busi,
        expect=Reads(
            samples=4,
            classes=("background", "foreground"),
            pixels={
                "benign/benign (2)": {"foreground": 7 * SIDE},
                "benign/benign (1)": {"foreground": 2 * SIDE},
                "normal/normal (1)": {"foreground": 0},
            },
            told=("1 image has several mask files, which were merged", "benign (2)"),
        ),
    ),
    Case(
        name="second_lesion_in_a_masks_folder",
        source="FengheTan9/CMU-Net#7",
        situation="images/x.png, masks/x_mask.png and masks/x_mask_1.png",
        build=both(pairs("images/{}.png", "masks/{}_mask.png"), labels("masks/{}_mask_1.png", "b", 2, first=10)),
        expect=Reads(samples=4, pixels={"b": {"foreground": 5 * SIDE}, "a": SQUARES}, told=("merged",)),
    ),
    Case(
        name="overlapping_objects",
        source="own",
        situation="images/x.png, masks/x/1.png and 2.png, which overlap",
        build=both(
            pictures("images/{}.png", "ab"),
            labels("masks/{}/1.png", "ab", 3, value=1),
            labels("masks/{}/2.png", "a", 3, first=2),
        ),
        expect=Reads(samples=2, pixels={"a": {"foreground": 5 * SIDE}, "b": SQUARES}),
    ),
    Case(
        name="dsb2018",
        source="killthekitten/kaggle-ds-bowl-2018-baseline#5",
        situation="case/images/x.png and a mask file a nucleus in case/masks/; stage1_test/ without masks",
        build=nuclei,
        expect=Reads(
            samples=3,
            pixels={
                "stage1_train/0a1f/0a1f": {"foreground": 6 * SIDE},
                "stage1_train/7be2/7be2": TWO,
                "stage1_train/c93d/c93d": {"foreground": 4 * SIDE},
            },
            splits={"stage1_train/0a1f/0a1f": "train"},
            told=("2 images without labels in stage1_test/, for predict",),
        ),
    ),
    Case(
        name="dsb2018_train_only",
        source="own",
        situation="the folder stage1_train alone",
        build=lambda root: (nuclei(root.parent / "whole"), (root.parent / "whole" / "stage1_train").rename(root / "s")),
        expect=Reads(samples=3, groups={"0a1f/0a1f": "0a1f"}, pixels={"0a1f/0a1f": {"foreground": 6 * SIDE}}),
    ),
    Case(
        name="a_mask_file_a_class",
        source="ZhilingYan/Medical-SAM-Bench#3",
        situation="masks/x_leaf.png and masks/x_soil.png",
        build=both(pairs("images/{}.png", "masks/{}_leaf.png", "ab"), labels("masks/{}_soil.png", "ab", 5, first=10)),
        expect=Asks(
            says=("2 of 2 images have several mask files", "mask_suffix: _leaf"),
            answer={"task": "multilabel"},
            then=Reads(samples=2, classes=("leaf", "soil"), pixels={"a": {"leaf": 72, "soil": 120}}),
        ),
    ),
    Case(
        name="a_mask_file_a_class_one_chosen",
        source="ZhilingYan/Medical-SAM-Bench#3",
        situation="the same, of which one is the label",
        build=both(pairs("images/{}.png", "masks/{}_leaf.png", "ab"), labels("masks/{}_soil.png", "ab", 5, first=10)),
        expect=Asks(
            says=("if each is a class",),
            answer={"mask_suffix": "_leaf"},
            then=Reads(samples=2, pixels={"a": SQUARES}, told=("2 other files of these images were left out",)),
        ),
    ),
    Case(
        name="classes_in_a_folder_of_each_image",
        source="own",
        situation="masks/x/leaf.png and masks/x/soil.png",
        build=both(pairs("images/{}.png", "masks/{}/leaf.png", "ab"), labels("masks/{}/soil.png", "ab", 5, first=10)),
        expect=Asks(
            says=("several mask files",),
            answer={"task": "multilabel"},
            then=Reads(samples=2, classes=("leaf", "soil"), pixels={"b": {"leaf": 72, "soil": 120}}),
        ),
    ),
    Case(
        name="merged_files_with_classes_inside",
        source="own",
        situation="masks/x_1.png and x_2.png that hold more than one object's values",
        build=both(
            pictures("images/{}.png", "ab"),
            labels("masks/{}_1.png", "ab", 3, value=1),
            lambda root: [
                Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 5).save(
                    root / "masks" / f"{name}_2.png"
                )
                for name in "ab"
            ],
        ),
        expect=Asks(says=("2 of 4", "hold more"), answer={}),
    ),
    Case(
        name="carvana",
        source="tensorflow/datasets#1194",
        situation="train/, train_masks/x_mask.gif, test/ without masks",
        build=both(pairs("train/{}.jpg", "train_masks/{}_mask.gif", "a_01 a_02 b_01"), pictures("test/{}.jpg", "xyz")),
        expect=Reads(
            samples=3,
            splits={"train/a_01": "train"},
            pixels={"train/a_01": SQUARES},
            told=("3 images without labels in test/, for predict",),
        ),
    ),
    Case(
        name="part_without_labels_inside_images",
        source="nicolaihaeni/MinneApple#3",
        situation="images/train, images/test, masks/train",
        build=both(pairs("images/train/{}.png", "masks/train/{}.png"), pictures("images/test/{}.png", "xy")),
        expect=Reads(
            samples=4,
            splits={"train/a": "train"},
            told=("2 images without labels in test/, for predict",),
        ),
    ),
    Case(
        name="isbi_membrane",
        source="own",
        situation="train/image, train/label, and the test images right in test/",
        build=both(pairs("train/image/{}.png", "train/label/{}.png"), pictures("test/{}.png", "01")),
        expect=Reads(samples=4, pixels={"train/a": SQUARES}, told=("2 images without labels in test/, for predict",)),
    ),
    Case(
        name="inria",
        source="own",
        situation="train/images, train/gt, test/images",
        build=both(pairs("train/images/{}.tif", "train/gt/{}.tif"), pictures("test/images/{}.tif", "xy")),
        expect=Reads(samples=4, splits={"train/a": "train"}, told=("2 images without labels in test/",)),
    ),
    Case(
        name="images_without_mask_in_a_labelled_part",
        source="own",
        situation="2 of 4 images of train/ have no mask: no part without labels, but a question",
        build=both(pairs("train/images/{}.png", "train/masks/{}.png", "ab"), pictures("train/images/{}.png", "cd")),
        options={"format": "folder"},
        expect=Asks(
            says=("2 of 4 images have no mask",),
            answer={"unpaired": "skip"},
            then=Reads(samples=2, told=("2 of 4 images have no mask",)),
        ),
    ),
    Case(
        name="image_suffixes_unknown",
        source="own",
        situation="images/x_pre.png, masks/x_post.png",
        build=pairs("images/{}_pre.png", "masks/{}_post.png"),
        expect=Reads(samples=4, pixels={"a": SQUARES}, told=("a_pre.png and a_post.png were taken for a pair",)),
    ),
    Case(
        name="nnunet_channel_in_names",
        source="own",
        situation="imgs/x_0000.png, labels/x.png",
        build=pairs("imgs/case_{}_0000.png", "labels/case_{}.png", "01 02 11"),
        expect=Reads(samples=3, pixels={"case_01": SQUARES}),
    ),
    Case(
        name="suffixes_and_a_missing_mask",
        source="own",
        situation="images/x_sat.png, masks/x_annot.png, one mask missing: proposed, not guessed",
        build=both(pairs("images/{}_sat.png", "masks/{}_annot.png"), pictures("images/{}_sat.png", "z")),
        expect=Asks(says=("no image has a mask of its name", "image_suffix: _sat", "mask_suffix: _annot")),
    ),
    Case(
        name="suffixes_and_a_missing_mask_answered",
        source="own",
        situation="the same, answered: now the missing mask is asked about",
        build=both(pairs("images/{}_sat.png", "masks/{}_annot.png"), pictures("images/{}_sat.png", "z")),
        options={"image_suffix": "_sat", "mask_suffix": "_annot"},
        expect=Asks(
            says=("1 of 5 images have no mask: z",),
            answer={"unpaired": "skip"},
            then=Reads(samples=4, pixels={"a": SQUARES}),
        ),
    ),
    Case(
        name="image_suffix_given",
        source="open-mmlab/mmsegmentation#372",
        situation="img_dir and ann_dir with suffixes, given by hand, some images without mask",
        build=both(
            pairs("img_dir/train/{}_leftImg8bit.png", "ann_dir/train/{}_gtFine_labelTrainIds.png"),
            pictures("img_dir/train/{}_leftImg8bit.png", "z"),
        ),
        options={"image_suffix": "_leftImg8bit", "mask_suffix": "_gtFine_labelTrainIds", "unpaired": "skip"},
        expect=Reads(samples=4, splits={"train/a": "train"}, told=("1 of 5 images have no mask: train/z",)),
    ),
    Case(
        name="mmseg_custom",
        source="open-mmlab/mmsegmentation#46",
        situation="img_dir/train, img_dir/val, ann_dir/train, ann_dir/val",
        build=both(
            pairs("img_dir/train/{}.png", "ann_dir/train/{}.png"), pairs("img_dir/val/{}.png", "ann_dir/val/{}.png")
        ),
        expect=Reads(samples=8, splits={"train/a": "train", "val/a": "val"}),
    ),
    Case(
        name="cityscapes_like",
        source="own",
        situation="leftImg8bit/train/x_leftImg8bit.png and gtFine/train/x_gtFine_roadIds.png",
        build=pairs("leftImg8bit/train/{}_leftImg8bit.png", "gtFine/train/{}_gtFine_roadIds.png", "aa_01 aa_02 bb_01"),
        options={"format": "folder"},
        expect=Reads(samples=3, splits={"train/aa_01": "train"}, pixels={"train/aa_01": SQUARES}),
    ),
    Case(
        name="camvid_L",
        source="own",
        situation="701_StillsRaw/x.png and LabeledApproved/x_L.png",
        build=pairs("701_StillsRaw/{}.png", "LabeledApproved_full/{}_L.png", "0001TP_1 0001TP_2 Seq05_3"),
        expect=Reads(samples=3, pixels={"0001TP_1": SQUARES}),
    ),
    Case(
        name="prefix_of_masks",
        source="own",
        situation="images/x.png, masks/gt_x.png",
        build=pairs("images/{}.png", "masks/gt_{}.png", "img1 img2 img12"),
        expect=Reads(samples=3, pixels={"img12": SQUARES}),
    ),
    Case(
        name="prefixes_in_one_folder",
        source="advimman/lama#314",
        situation="x.png and mask_x.png in one folder",
        build=pairs("{}.png", "mask_{}.png", "one two three"),
        expect=Reads(samples=3, pixels={"one": SQUARES}),
    ),
    Case(
        name="masks_folder_of_another_video",
        source="own",
        situation="frames 100, 101 beside masks 200, 201: numbers are no affixes",
        build=both(pictures("images/frame_10{}.png", "01"), labels("masks/frame_20{}.png", "01", 3)),
        expect=Asks(says=("no image has a mask of its name",)),
    ),
    Case(
        name="cellpose_names",
        source="MouseLand/cellpose#667",
        situation="img_0.tif and img_0_masks.tif in one folder",
        build=pairs("img_{}.tif", "img_{}_masks.tif", "0 1 10"),
        expect=Reads(samples=3, pixels={"img_0": SQUARES}),
    ),
    Case(
        name="seg_mask_of_two_words",
        source="matterport/Mask_RCNN#2784",
        situation="Object_Images/x.png, Object_Segmented_Masks/x_seg_mask.png",
        build=pairs("Object_Images/{}.png", "Object_Segmented_Masks/{}_seg_mask.png", "img1 img2 img3"),
        expect=Reads(samples=3, pixels={"img1": SQUARES}),
    ),
    Case(
        name="glas",
        source="xq141839/Co-Seg-Plus#4",
        situation="train_1.bmp, train_1_anno.bmp and testA_1.bmp in one folder",
        build=pairs("{}.bmp", "{}_anno.bmp", "train_1 train_2 train_11 testA_1", value=1),
        expect=Reads(samples=4, pixels={"train_11": SQUARES}, told=("'_anno' were taken for the masks",)),
    ),
    Case(
        name="chase_two_observers",
        source="syshin1014/VGN#15",
        situation="Image_01L.jpg, Image_01L_1stHO.png and _2ndHO.png in one folder",
        build=both(
            pairs("Image_{}.jpg", "Image_{}_1stHO.png", "01L 01R 02L"),
            pairs("Image_{}.jpg", "Image_{}_2ndHO.png", "01L 01R 02L", rows=4),
        ),
        expect=Asks(
            says=("_1stHO", "_2ndHO", "12%", "17%"),
            answer={"mask_suffix": "_1stHO"},
            then=Reads(samples=3, pixels={"Image_01L": SQUARES}),
        ),
    ),
    Case(
        name="stare_two_observers",
        source="open-mmlab/mmsegmentation#184",
        situation="stare-images/, labels-ah/x.ah.png, labels-vk/x.vk.png",
        build=both(
            pairs("stare-images/{}.png", "labels-ah/{}.ah.png", "im0001 im0002 im0003"),
            pairs("stare-images/{}.png", "labels-vk/{}.vk.png", "im0001 im0002 im0003", rows=4),
        ),
        expect=Asks(
            says=("labels-ah", "labels-vk"),
            answer={"masks": "labels-ah"},
            then=Reads(samples=3, pixels={"im0001": SQUARES}),
        ),
    ),
    Case(
        name="crack500",
        source="nicolasdiolez/360Extractor#4",
        situation="x.jpg and x.png in one folder",
        build=pairs("{}.jpg", "{}.png", "20160222_1 20160222_2 20160223_1"),
        expect=Reads(samples=3, pixels={"20160222_1": SQUARES}, told=("was taken for the mask of",)),
    ),
    Case(
        name="same_names_both_pictures",
        source="own",
        situation="x.jpg and x.png in one folder, both photographs: no labels at all",
        build=both(pictures("{}.jpg", "abc"), pictures("{}.png", "abc")),
        expect=Asks(says=("no name ends in _mask",)),
    ),
    Case(
        name="massachusetts_roads",
        source="own",
        situation="train/, train_labels/, val/, val_labels/",
        build=both(pairs("train/{}.tiff", "train_labels/{}.tif"), pairs("val/{}.tiff", "val_labels/{}.tif")),
        expect=Reads(samples=8, splits={"train/a": "train", "val/b": "val"}, pixels={"val/b": SQUARES}),
    ),
    Case(
        name="parts_in_folder_names",
        source="own",
        situation="train_images/, train_masks/, test_images/",
        build=both(pairs("train_images/{}.png", "train_masks/{}.png"), pictures("test_images/{}.png", "xy")),
        expect=Reads(samples=4, splits={"train_images/a": "train"}, told=("2 images without labels in test_images/",)),
    ),
    Case(
        name="isic_segmentation",
        source="divamgupta/image-segmentation-keras#23",
        situation="ISIC-2017_Training_Data/x.jpg, ..._GroundTruth/x_segmentation.png",
        build=pairs(
            "ISIC-2017_Training_Data/{}.jpg",
            "ISIC-2017_Training_Part1_GroundTruth/{}_segmentation.png",
            "ISIC_0000000 ISIC_0000001",
        ),
        expect=Reads(samples=2, pixels={"ISIC_0000000": {"lesion": 72}}),
    ),
    Case(
        name="kvasir",
        source="own",
        situation="Kvasir-SEG/images/x.jpg and masks/x.jpg below one folder",
        build=pairs("Kvasir/images/{}.png", "Kvasir/masks/{}.png"),
        expect=Reads(samples=4, pixels={"a": SQUARES}),
    ),
    Case(
        name="landcover_tiles",
        source="own",
        situation="images/M-33-20-D-c-4-2.tif and masks/M-33-20-D-c-4-2.tif with 0 to 4",
        build=both(
            pairs("images/M-33-{}.tif", "masks/M-33-{}.tif", value=1),
            labels("masks/M-33-{}.tif", "b", 3, value=2),
        ),
        expect=Reads(samples=4, classes=("class_0", "class_1", "class_2"), pixels={"M-33-b": {"class_2": 72}}),
    ),
    Case(
        name="semantic_drone",
        source="own",
        situation="original_images/000.jpg, label_images_semantic/000.png",
        build=pairs("original_images/{}.jpg", "label_images_semantic/{}.png", "000 001 002"),
        expect=Reads(samples=3, pixels={"000": SQUARES}),
    ),
    Case(
        name="semantic_drone_with_colours",
        source="own",
        situation="the same beside RGB_color_image_masks/",
        build=both(
            pairs("original_images/{}.jpg", "label_images_semantic/{}.png", "000 001 002"),
            pairs("original_images/{}.jpg", "RGB_color_image_masks/{}.png", "000 001 002", rows=3),
        ),
        expect=Asks(
            says=("label_images_semantic", "RGB_color_image_masks"),
            answer={"masks": "label_images_semantic"},
            then=Reads(samples=3),
        ),
    ),
    Case(
        name="uavid",
        source="CoinCheung/BiSeNet#118",
        situation="uavid_train/seq1/Images/000000.png and Labels, uavid_val/seq16, uavid_test/seq21 without labels",
        build=both(
            pairs("uavid_train/seq1/Images/{}.png", "uavid_train/seq1/Labels/{}.png", "000000 000100"),
            pairs("uavid_train/seq2/Images/{}.png", "uavid_train/seq2/Labels/{}.png", "000000 000100"),
            pairs("uavid_val/seq16/Images/{}.png", "uavid_val/seq16/Labels/{}.png", "000000 000100"),
            pictures("uavid_test/seq21/Images/{}.png", "0"),
            pictures("uavid_test/seq22/Images/{}.png", "0"),
        ),
        expect=Reads(
            samples=6,
            pixels={"uavid_train/seq2/000100": SQUARES},
            groups={"uavid_train/seq1/000000": "uavid_train/seq1"},
            splits={"uavid_train/seq1/000000": "train", "uavid_val/seq16/000000": "val"},
            told=("2 images without labels in uavid_test/",),
        ),
    ),
    Case(
        name="sites_with_equal_names",
        source="own",
        situation="siteA/images/1.png, siteB/images/1.png",
        build=both(
            pairs("siteA/images/{}.png", "siteA/masks/{}.png", "12", rows=2),
            pairs("siteB/images/{}.png", "siteB/masks/{}.png", "12", rows=3),
        ),
        expect=Reads(
            samples=4,
            pixels={"siteA/1": TWO, "siteB/1": SQUARES},
            groups={"siteA/1": "siteA", "siteB/2": "siteB"},
        ),
    ),
    Case(
        name="sites_with_a_given_group",
        source="own",
        situation="the same, where the user's pattern decides the groups",
        build=both(
            pairs("siteA/images/{}.png", "siteA/masks/{}.png", "12"),
            pairs("siteB/images/{}.png", "siteB/masks/{}.png", "12"),
        ),
        options={"group": "(\\d+)$"},
        expect=Reads(samples=4, groups={"siteA/1": "1", "siteB/1": "1"}),
    ),
    Case(
        name="unrelated_sets",
        source="own",
        situation="pets/images, pets/masks (1, 2) and cells/images, cells/masks (255): two data sets",
        build=both(
            pairs("pets/images/{}.png", "pets/masks/{}.png", value=2),
            pairs("cells/images/{}.png", "cells/masks/{}.png"),
        ),
        expect=Asks(says=("data sets", "cells", "pets")),
    ),
    Case(
        name="sets_with_classes_of_their_own",
        source="own",
        situation="two sets laid out alike, one of which has a list of classes",
        build=both(
            pairs("one/images/{}.png", "one/masks/{}.png"),
            pairs("two/images/{}.png", "two/masks/{}.png"),
            lambda root: (root / "two" / "class_dict.csv").write_text("name,r,g,b\nsea,0,0,0\nship,255,255,255\n"),
        ),
        expect=Asks(says=("one", "two")),
    ),
    Case(
        name="cases_with_two_mask_folders",
        source="own",
        situation="case1/images, case1/masks, case1/roi_masks: one question for all cases",
        build=both(
            pairs("case1/images/{}.png", "case1/masks/{}.png", "ab"),
            pairs("case2/images/{}.png", "case2/masks/{}.png", "ab"),
            labels("case1/roi_masks/{}.png", "ab", 20),
            labels("case2/roi_masks/{}.png", "ab", 20),
        ),
        expect=Asks(
            says=("masks", "roi_masks", "83%"),
            answer={"masks": "masks"},
            then=Reads(samples=4, pixels={"case1/a": SQUARES}, groups={"case2/b": "case2"}),
        ),
    ),
    Case(
        name="mask_and_label_beside_each_image",
        source="own",
        situation="x.png, x_mask.png (the area scanned) and x_label.png in one folder",
        build=both(pairs("{}.png", "{}_label.png", "abc"), labels("{}_mask.png", "abc", 20)),
        expect=Asks(
            says=("_label", "_mask", "12%", "83%"),
            answer={"mask_suffix": "_label"},
            then=Reads(samples=3, pixels={"a": SQUARES}, told=("3 other files of these images were left out",)),
        ),
    ),
    Case(
        name="a_file_a_class_in_one_folder",
        source="own",
        situation="x.png, x_leaf.png, x_soil.png in one folder, read as classes",
        build=both(pairs("{}.png", "{}_leaf.png", "abc"), labels("{}_soil.png", "abc", 5, first=10)),
        options={"format": "folder"},
        expect=Asks(
            says=("each of 3 images has 2 files that could be its mask", "_leaf", "_soil"),
            answer={"task": "multilabel"},
            then=Reads(samples=3, classes=("leaf", "soil"), pixels={"a": {"leaf": 72, "soil": 120}}),
        ),
    ),
    Case(
        name="a_file_a_class_in_each_case",
        source="own",
        situation="case/images/x.png with case/masks/leaf.png and soil.png",
        build=both(
            pairs("case{0}/images/{0}.png", "case{0}/masks/leaf.png", "12"),
            labels("case{}/masks/soil.png", "12", 5, first=10),
        ),
        expect=Asks(
            says=("2 of 2 images have several mask files",),
            answer={"task": "multilabel"},
            then=Reads(samples=2, classes=("leaf", "soil"), pixels={"case1/1": {"leaf": 72, "soil": 120}}),
        ),
    ),
    Case(
        name="sets_laid_out_otherwise",
        source="own",
        situation="pets/images, pets/masks and cells/x.png, cells/x_mask.png",
        build=both(pairs("pets/images/{}.png", "pets/masks/{}.png"), pairs("cells/{}.png", "cells/{}_mask.png")),
        expect=Asks(says=("cells", "pets")),
    ),
    Case(
        name="case_with_image_and_mask",
        source="own",
        situation="case1/image.png, case1/mask.png",
        build=pairs("{}/image.png", "{}/mask.png", "case1 case2 case10"),
        expect=Reads(samples=3, pixels={"case10": SQUARES}, groups={"case1": "case1"}),
    ),
    Case(
        name="labelme_json_to_dataset",
        source="wkentaro/labelme#420",
        situation="one_json/img.png, label.png, label_viz.png",
        build=labelme_export,
        expect=Reads(samples=2, pixels={"one_json": {"cat": 96}}, told=("label_viz.png",)),
    ),
    Case(
        name="segtrack",
        source="Graviti-AI/tensorbay-python-sdk#983",
        situation="the frames of a video right in its folder, ground-truth/ below",
        build=both(
            pairs("birdfall/{}.png", "birdfall/ground-truth/{}.png"),
            pairs("cheetah/{}.png", "cheetah/ground-truth/{}.png"),
        ),
        expect=Reads(samples=8, groups={"birdfall/a": "birdfall"}, pixels={"cheetah/d": SQUARES}),
    ),
    Case(
        name="images_above_masks",
        source="own",
        situation="x.png in the folder itself, masks/x.png below",
        build=pairs("{}.png", "masks/{}.png"),
        expect=Reads(samples=4, pixels={"a": SQUARES}),
    ),
    Case(
        name="names_that_differ_by_case",
        source="own",
        situation="Images/IMG_1.JPG and Masks/img_1.png",
        build=lambda root: [
            (picture(root / "Images" / f"IMG_{n}.JPG"), mask(root / "Masks" / f"img_{n}.png", 3)) for n in (1, 2, 10)
        ],
        expect=Reads(samples=3, pixels={"IMG_10": SQUARES}, told=("but for upper and lower case or accents",)),
    ),
    Case(
        name="full_width_and_decomposed_names",
        source="own",
        situation="images/é１.png composed and full-width, masks/é1.png decomposed",
        build=lambda root: [
            (picture(root / "images" / f"\u00e9{wide}.png"), mask(root / "masks" / f"e\u0301{plain}.png", 3))
            for wide, plain in (("\uff11", "1"), ("\uff12", "2"))
        ],
        expect=Reads(samples=2, pixels={"\u00e9\uff11": SQUARES}),
    ),
    Case(
        name="capital_folders",
        source="own",
        situation="IMAGES/ and MASKS/",
        build=pairs("IMAGES/{}.png", "MASKS/{}.png"),
        expect=Reads(samples=4),
    ),
    Case(
        name="raw_photographs",
        source="own",
        situation="images/*.cr2 beside masks/*.png",
        build=both(labels("masks/{}.png", "abc", 3), junk(*(f"images/{name}.cr2" for name in "abc"))),
        expect=Asks(says=("3 .cr2 files", "images/")),
    ),
    Case(
        name="half_of_the_images_raw",
        source="own",
        situation="half of the images are RAW files: their masks have no image that can be read",
        build=both(
            pairs("images/{}.png", "masks/{}.png", "ab"),
            labels("masks/{}.png", "cd", 3),
            junk("images/c.CR2", "images/d.CR2"),
        ),
        options={"format": "folder"},
        expect=Asks(says=("2 of 4 masks have no image", "2 .cr2 files")),
    ),
    Case(
        name="pets_one_list",
        source="own",
        situation="Oxford pets with trainval.txt only",
        build=lambda root: (
            pairs("images/{}.jpg", "annotations/trimaps/{}.png", "cat_1 dog_1", value=1)(root),
            [mask(root / "annotations" / "trimaps" / f"{name}.png", SIDE, value=2) for name in ("cat_1", "dog_1")],
            (root / "annotations" / "trainval.txt").write_text("cat_1 1 1 1\ndog_1 2 2 1\n"),
        ),
        expect=Reads(samples=2, splits={"cat_1": "train"}, told=("no test.txt",)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    root = tmp_path / "set"
    root.mkdir()
    check(case, root)
