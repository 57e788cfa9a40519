"""Files that hold several images, or no ordinary picture: volumes, DICOM, arrays, stacks, tables, photos of phones."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pillow_heif
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless
from ruamel.yaml import YAML

from segbench.data.files.hints import options_in
from segbench.data.formats.detect import detect
from segbench.data.manifest.read import read_dataset
from tests.cases.case import Asks, Case, Reads, check, reported

SIDES = (20, 30, 6)  # of a volume: to right, to front, to head
RAS = np.diag([1.0, 1.0, 2.5, 1.0])


def grey(seed: int, *shape: int) -> NDArray[np.int16]:
    """Returns Hounsfield units that look like nothing."""
    return np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16)


def organ() -> NDArray[np.uint8]:
    """Returns labels: 12 x 5 voxels of 1 in slice 2, 4 x 5 of 2 in slice 3, none elsewhere."""
    labels = np.zeros(SIDES, dtype=np.uint8)
    labels[2:14, 20:25, 2] = 1
    labels[2:6, 20:25, 3] = 2
    return labels


def nifti(path: Path, values: NDArray[Any], affine: NDArray[Any] = RAS) -> None:
    """Writes a volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def decathlon(root: Path, *, labels: Mapping[str, Any] | None = None, channels: int = 1, turned: bool = False) -> None:
    """Writes three cases as the Medical Segmentation Decathlon has them, and a volume for predictions."""
    shape = SIDES if channels == 1 else (*SIDES, channels)
    for seed, case in enumerate("abc"):
        nifti(root / "imagesTr" / f"{case}.nii.gz", grey(seed, *shape))
        nifti(root / "labelsTr" / f"{case}.nii.gz", organ(), np.diag([-1.0, -1.0, 2.5, 1.0]) if turned else RAS)
    nifti(root / "imagesTs" / "d.nii.gz", grey(7, *shape))
    described = {"modality": {"0": "CT"}, "labels": labels or {"0": "background", "1": "liver", "2": "tumour"}}
    (root / "dataset.json").write_text(json.dumps(described))


def brats(root: Path) -> None:
    """Writes a folder a patient with two measurements and the labels."""
    for seed, case in enumerate(("P_001", "P_002", "P_003")):
        for place, name in enumerate(("flair", "t1")):
            nifti(root / case / f"{case}_{name}.nii.gz", grey(10 * seed + place, *SIDES))
        nifti(root / case / f"{case}_seg.nii.gz", organ())


def averaged(root: Path) -> None:
    """Writes folders and files with the same words before and behind."""
    for seed, case in enumerate(("DET1", "DET2", "DET3")):
        nifti(root / "averaged-training-images" / f"{case}_avg.nii.gz", grey(seed, *SIDES))
        nifti(root / "averaged-training-labels" / f"{case}_avg_seg.nii.gz", organ())


def lits(root: Path) -> None:
    """Writes volumes and segmentations side by side, told apart by what their names begin with."""
    for seed in range(3):
        nifti(root / f"volume-{seed}.nii", grey(seed, *SIDES))
        nifti(root / f"segmentation-{seed}.nii", organ())


def class_files(root: Path, *, overlap: bool = False) -> None:
    """Writes a folder a case with a folder of label files, one a class; one case lacks a class."""
    for seed, case in enumerate(("s0001", "s0002", "s0003")):
        nifti(root / case / "ct.nii.gz", grey(seed, *SIDES))
        for value, name in ((1, "liver"), (2, "spleen"), (9, "lesion")):
            held = (organ() == value).astype(np.uint8)
            held[0:3, 0:2, 5] = name == "lesion"
            held[0:2, 0:2, 5] |= np.uint8(overlap and name == "liver")
            if (case, name) != ("s0003", "spleen"):
                nifti(root / case / "segmentations" / f"{name}.nii.gz", held)


def two_label_files(root: Path) -> None:
    """Writes cases with two label volumes each."""
    for seed, case in enumerate(("1", "2", "3")):
        nifti(root / case / "T1.nii", grey(seed, *SIDES))
        nifti(root / case / "labels_testing.nii", organ())
        nifti(root / case / "labels_training.nii", organ())


def other_sizes(root: Path) -> None:
    """Writes labels of one case that were made on another grid."""
    decathlon(root)
    nifti(root / "labelsTr" / "b.nii.gz", np.ones((10, 15, 6), dtype=np.uint8))


def flat_nifti(root: Path) -> None:
    """Writes pictures without depth."""
    for seed, case in enumerate("abc"):
        nifti(root / "images" / f"{case}.nii.gz", grey(seed, 20, 30))
        nifti(root / "masks" / f"{case}.nii.gz", organ()[:, :, 2])


def tiff(path: Path, pages: NDArray[Any]) -> None:
    """Writes a page for each of the first axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=others)


def boxes(number: int, value: int = 255) -> NDArray[np.uint8]:
    """Returns masks of 24 x 32 pixels with 10 x 4 of a value in each."""
    masks = np.zeros((number, 24, 32), dtype=np.uint8)
    masks[:, 5:15, 8:12] = value
    return masks


def isbi(root: Path) -> None:
    """Writes a stack of electron microscopy, its labels, and a stack without."""
    pages = np.random.default_rng(0).integers(0, 255, (30, 24, 32), dtype=np.uint8)
    tiff(root / "train-volume.tif", pages)
    tiff(root / "train-labels.tif", boxes(30))
    tiff(root / "test-volume.tif", pages)


def uneven_stacks(root: Path) -> None:
    """Writes a stack with a page more than its masks."""
    tiff(root / "images" / "a.tif", boxes(7))
    tiff(root / "masks" / "a.tif", boxes(6))


def deep_stack(root: Path) -> None:
    """Writes stacks of 16 bit and of colours."""
    for seed, name in enumerate("abc"):
        tiff(
            root / "images" / f"{name}.tif", np.random.default_rng(seed).integers(0, 4000, (4, 24, 32), dtype=np.uint16)
        )
        tiff(root / "masks" / f"{name}.tif", boxes(4, 1))


def synapse(root: Path) -> None:
    """Writes a .npz a slice, as the preprocessed Synapse set has them, and an HDF5 volume."""
    for case in ("case0005", "case0006", "case0007"):
        for place in range(3):
            name = root / "train_npz" / f"{case}_slice{place:03d}.npz"
            name.parent.mkdir(exist_ok=True)
            image = np.random.default_rng(place).random((24, 32), dtype=np.float32)
            np.savez(name, image=image, label=boxes(1, 3)[0].astype(np.float32))
    (root / "test_vol_h5").mkdir()
    (root / "test_vol_h5" / "case0001.npy.h5").write_bytes(b"\x89HDF\r\n\x1a\n")


def one_hot(root: Path) -> None:
    """Writes all images in one array, the masks with a plane a class."""
    np.save(root / "images.npy", np.random.default_rng(0).random((5, 24, 32, 3)).astype(np.float32))
    np.save(root / "masks.npy", np.eye(2, dtype=np.float32)[boxes(5, 1)])


def four_channels(root: Path) -> None:
    """Writes arrays of four channels, the channels first."""
    for seed, name in enumerate("abc"):
        for kind in ("images", "masks"):
            (root / kind).mkdir(exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (4, 24, 32), dtype=np.uint8)
        np.save(root / "images" / f"{name}.npy", pixels)
        np.save(root / "masks" / f"{name}.npy", boxes(1, 1)[0])


def train_and_test_arrays(root: Path) -> None:
    """Writes x and y of two parts into one .npz."""
    arrays = {}
    for part, number in (("train", 4), ("test", 2)):
        arrays[f"x_{part}"] = np.random.default_rng(number).integers(0, 255, (number, 24, 32, 3), dtype=np.uint8)
        arrays[f"y_{part}"] = boxes(number, 1).astype(bool)
    np.savez(root / "cells.npz", **arrays)


def pickled(root: Path) -> None:
    """Writes an array of Python objects."""
    np.save(root / "images.npy", np.array([{"image": 1}, {"image": 2}], dtype=object), allow_pickle=True)
    np.save(root / "masks.npy", boxes(2))


def as_file(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """Returns the bytes of a picture file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def hub(root: Path, *, columns: tuple[str, ...] = ("image", "annotation"), names: bool = True) -> None:
    """Writes tables as `push_to_hub` does: bytes and the name they had, a file a part."""
    (root / "data").mkdir()
    for part, number in (("train", 4), ("validation", 2)):
        rows = []
        for place in range(number):
            pixels = np.random.default_rng(place).integers(0, 255, (24, 32, 3), dtype=np.uint8)
            row = {"image": as_file(pixels, "JPEG"), "depth": as_file(pixels[:, :, 0], "PNG")}
            row["annotation"] = as_file(boxes(1, 1)[0], "PNG")
            cells = {name: {"bytes": row[name], "path": f"{part}_{place}.png"} for name in columns}
            rows.append({**cells, "scene": place})
        pq.write_table(pa.Table.from_pylist(rows), root / "data" / f"{part}-00000-of-00001.parquet")
    if names:
        (root / "id2label.json").write_text(json.dumps({"0": "other", "1": "road"}))


def slice_file(
    path: Path, values: NDArray[np.int16], *, number: int = 0, kind: str = "MONOCHROME2", case: str = "A"
) -> None:
    """Writes a CT slice with a window of 0 to 100 Hounsfield units, stored 1024 too high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = pydicom.Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = CTImageStorage
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{ord(case)}.{number}"
    found.Modality, found.PatientID, found.SeriesInstanceUID = "CT", case, f"1.2.3.{ord(case)}"
    found.Rows, found.Columns = values.shape
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, kind
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation = 15, 1
    found.RescaleSlope, found.RescaleIntercept = 1, -1024
    found.WindowCenter, found.WindowWidth = 50.5, 101
    found.PixelSpacing = [0.7, 0.8]
    found.PixelData = (values + 1024).astype("<i2").tobytes()
    found.save_as(path, enforce_file_format=True)


def dicom(root: Path, *, kind: str = "MONOCHROME2") -> None:
    """Writes two slices of each of three patients, with PNG masks of the same names."""
    (root / "masks").mkdir()
    for case in "ABC":
        for number in range(2):
            name = f"{case}{number}"
            slice_file(root / "images" / f"{name}.dcm", grey(number, 24, 32), number=number, kind=kind, case=case)
            Image.fromarray(boxes(1)[0]).save(root / "masks" / f"{name}.png")


def dicom_without_labels(root: Path) -> None:
    """Writes slices in the parts of an official division, and nothing else."""
    slice_file(root / "train" / "1.dcm", grey(0, 24, 32))
    slice_file(root / "test" / "1.dcm", grey(1, 24, 32), number=1)


def compressed(root: Path) -> None:
    """Marks a slice as compressed in a way that needs a package more."""
    dicom(root)
    path = root / "images" / "A0.dcm"
    found = pydicom.dcmread(path)
    found.file_meta.TransferSyntaxUID = JPEGLSLossless
    found.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7" + bytes(20)])
    found["PixelData"].VR = "OB"
    found["PixelData"].is_undefined_length = True
    found.save_as(path, enforce_file_format=True)


def phone_photos(root: Path) -> None:
    """Writes HEIC photos among JPEG ones."""
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for place, name in enumerate(("IMG_1", "IMG_2", "IMG_3")):
        pixels = Image.fromarray(np.random.default_rng(place).integers(0, 255, (24, 32, 3), dtype=np.uint8))
        if place:
            pillow_heif.from_pillow(pixels).save(root / "images" / f"{name}.HEIC")
        else:
            pixels.save(root / "images" / f"{name}.jpg")
        Image.fromarray(boxes(1)[0]).save(root / "masks" / f"{name}.png")


THREE = {"a/002": {"liver": 60, "tumour": 0}, "a/003": {"liver": 0, "tumour": 20}, "c/002": {"liver": 60}}

CASES = [
    Case(
        name="hub_table_damaged",
        source="segments-ai#62, transformers PR#27859",
        situation="Hub data set as parquet; the file is empty of content",
        build=reported("44_hf_parquet"),
        expect=Asks(says=("not a Parquet table", "copy it again"), silent=("no image file",)),
    ),
    Case(
        name="nifti_damaged",
        source="mmsegmentation#3093, #701; TotalSegmentator#27",
        situation="NIfTI in the Decathlon's folders; the files are empty of content",
        build=reported("58_nifti_msd"),
        expect=Asks(says=("3 of 3 volumes", "not a NIfTI file"), silent=("no image file", "data sets")),
    ),
    Case(
        name="tiff_stack",
        source="ISBI stacks",
        situation="images/volume.tif and masks/volume.tif of six pages",
        build=reported("77_multipage_tiff_stack"),
        expect=Reads(
            samples=6,
            classes=("background", "foreground"),
            pixels={f"volume/{place:03d}": {"foreground": 120, "background": 648} for place in range(6)},
            groups={"volume/000": "volume", "volume/005": "volume"},
            told=("blocks",),
        ),
    ),
    Case(
        name="dicom_split_folders_no_labels",
        source="nnUNet#2668 kind",
        situation="train/ and test/ with .dcm only",
        build=reported("9D_split_folders_of_dicom"),
        expect=Asks(says=("2 DICOM files without labels",)),
    ),
    Case(
        name="nifti_decathlon",
        source="MIC-DKFZ/nnUNet#1636",
        situation="imagesTr, labelsTr, imagesTs, dataset.json with numbers as keys",
        build=decathlon,
        expect=Reads(
            samples=18,
            classes=("background", "liver", "tumour"),
            pixels=THREE,
            groups={"a/002": "a", "b/000": "b"},
            told=("Hounsfield", "dataset.json", "1 file without labels", "2.5 mm", "12 of 18 slices"),
        ),
    ),
    Case(
        name="nifti_empty_slices_left_out",
        source="shreyaspadhy/UNet-Zoo#12",
        situation="most slices hold background only, and are not wanted",
        build=decathlon,
        options={"format": "nifti", "empty_slices": "skip"},
        expect=Reads(samples=6, pixels=THREE, told=("12 of 18 slices",)),
    ),
    Case(
        name="nifti_labels_turned",
        source="MIC-DKFZ/nnUNet#1669, #2526",
        situation="the labels' headers put them elsewhere than the images",
        build=lambda root: decathlon(root, turned=True),
        expect=Asks(says=("3 of 3 volumes", "grid"), answer={"grid": "voxels"}, then=Reads(samples=18, pixels=THREE)),
    ),
    Case(
        name="nifti_labels_of_another_size",
        source="MIC-DKFZ/nnUNet#1267",
        situation="one label volume was made on another grid",
        build=other_sizes,
        expect=Asks(says=("1 of 3 volumes", "10 x 15 x 6", "20 x 30 x 6")),
    ),
    Case(
        name="nifti_regions",
        source="own",
        situation="dataset.json of nnU-Net with regions that share label values",
        build=lambda root: decathlon(root, labels={"background": 0, "whole": [1, 2], "core": [2]}),
        expect=Asks(
            says=("regions", "whole"),
            answer={"classes": {"background": 0, "class_1": 1, "class_2": 2}},
            then=Reads(samples=18, pixels={"a/002": {"class_1": 60}}),
        ),
    ),
    Case(
        name="nifti_four_dimensional",
        source="JDSobek/MedYOLO#36",
        situation="the measurements lie on a fourth axis",
        build=lambda root: decathlon(root, channels=2),
        expect=Asks(says=("2 channels", "channel"), answer={"channel": 0}, then=Reads(samples=18, pixels=THREE)),
    ),
    Case(
        name="nifti_folder_a_patient",
        source="askerlee/segtran#27",
        situation="P_001/P_001_flair.nii.gz, _t1, _seg",
        build=brats,
        expect=Asks(
            says=("2 channels", "flair", "t1"),
            answer={"channel": 0},
            then=Reads(samples=18, pixels={"P_002/002": {"class_1": 60}}, groups={"P_002/002": "P_002"}),
        ),
    ),
    Case(
        name="nifti_words_around_names",
        source="HuCaoFighting/Swin-Unet#16",
        situation="averaged-training-images/DET1_avg, averaged-training-labels/DET1_avg_seg",
        build=averaged,
        expect=Reads(samples=18, pixels={"averaged-training/DET1_avg/002": {"class_1": 60}}),
    ),
    Case(
        name="nifti_volume_and_segmentation",
        source="own",
        situation="volume-0.nii and segmentation-0.nii in one folder, as LiTS has them",
        build=lits,
        expect=Reads(samples=18, pixels={"0/003": {"class_2": 20}}, groups={"0/003": "0"}),
    ),
    Case(
        name="nifti_two_label_volumes",
        source="Ryo-Ito/brain_segmentation#2",
        situation="LabelsForTraining.nii and LabelsForTesting.nii a case",
        build=two_label_files,
        expect=Asks(says=("labels_testing",)),
    ),
    Case(
        name="nifti_file_a_class",
        source="wasserth/TotalSegmentator#107, TotalSegmentator#27",
        situation="s0001/ct.nii.gz and s0001/segmentations/liver.nii.gz, spleen.nii.gz, ...",
        build=class_files,
        expect=Reads(
            samples=18,
            classes=("background", "lesion", "liver", "spleen"),
            pixels={
                "s0001/002": {"liver": 60},
                "s0002/003": {"spleen": 20},
                "s0003/003": {"spleen": 0, "background": 600},
                "s0003/005": {"lesion": 6, "ignored": 0},
            },
            groups={"s0002/003": "s0002"},
        ),
    ),
    Case(
        name="nifti_file_a_class_overlapping",
        source="wasserth/TotalSegmentator#350, #440",
        situation="files of two classes claim the same voxels",
        build=lambda root: class_files(root, overlap=True),
        options={"format": "nifti", "classes": ["lesion", "liver"]},
        expect=Reads(
            samples=18,
            classes=("background", "lesion", "liver"),
            pixels={"s0001/005": {"lesion": 2, "ignored": 4}, "s0001/003": {"background": 600}},
            told=("12 voxels belong to several classes",),
        ),
    ),
    Case(
        name="nifti_without_depth",
        source="own",
        situation="NIfTI files of two axes",
        build=flat_nifti,
        expect=Reads(samples=3, classes=("background", "foreground"), pixels={"a/000": {"foreground": 60}}),
    ),
    Case(
        name="tiff_isbi",
        source="own",
        situation="train-volume.tif, train-labels.tif, test-volume.tif",
        build=isbi,
        expect=Reads(
            samples=30,
            pixels={"train/029": {"foreground": 40}},
            told=("1 file without labels",),
            groups={"train/029": "train"},
        ),
    ),
    Case(
        name="tiff_uneven_stacks",
        source="own",
        situation="a stack has a page more than its masks",
        build=uneven_stacks,
        expect=Asks(says=("7 pages", "6")),
    ),
    Case(
        name="tiff_deep_stacks",
        source="own",
        situation="stacks of 16 bit",
        build=deep_stack,
        expect=Reads(samples=12, pixels={"b/003": {"foreground": 40}}, told=("grey values",), groups={"b/003": "b"}),
    ),
    Case(
        name="npz_synapse",
        source="Beckschen/TransUNet#7",
        situation="a .npz a slice with image and label, test volumes as HDF5",
        build=synapse,
        options={"classes": {"background": 0, "spleen": 3}},
        expect=Reads(
            samples=9,
            pixels={"train_npz/case0005_slice000": {"spleen": 40, "background": 728}},
            groups={"train_npz/case0006_slice001": "case0006"},
            told=("1 HDF5 file", "0 to 1"),
        ),
    ),
    Case(
        name="npy_one_plane_a_class",
        source="jakeret/tf_unet#111",
        situation="images.npy and masks.npy with a plane a class",
        build=one_hot,
        expect=Reads(samples=5, pixels={"stack/004": {"foreground": 40}}, told=("plane",)),
    ),
    Case(
        name="npy_four_channels",
        source="divamgupta/image-segmentation-keras#397",
        situation="arrays of four channels, one file an image, channels first",
        build=four_channels,
        expect=Asks(
            says=("4 channels", "channel"),
            answer={"channel": 0},
            then=Reads(samples=3, pixels={"b": {"foreground": 40, "background": 728}}),
        ),
    ),
    Case(
        name="npz_parts",
        source="own",
        situation="x_train, y_train, x_test, y_test in one .npz",
        build=train_and_test_arrays,
        expect=Reads(
            samples=6,
            pixels={"cells/test/001": {"foreground": 40}},
            splits={"cells/test/001": "test", "cells/train/003": "train"},
        ),
    ),
    Case(
        name="npy_pickled",
        source="own",
        situation="an array of Python objects",
        build=pickled,
        expect=Asks(says=("Python objects", "images.npy")),
    ),
    Case(
        name="hub_table",
        source="huggingface/datasets#5188",
        situation="columns image and annotation, parts in the files' names, id2label.json",
        build=hub,
        expect=Reads(
            samples=6,
            classes=("other", "road"),
            pixels={"train/train_3": {"road": 40, "other": 728}},
            splits={"train/train_3": "train", "val/validation_1": "val"},
            told=("annotation", "id2label.json"),
        ),
    ),
    Case(
        name="hub_table_three_columns",
        source="own",
        situation="a third column of pictures",
        build=lambda root: hub(root, columns=("image", "depth", "annotation"), names=False),
        expect=Asks(
            says=("3 columns", "depth"),
            answer={"images": "image"},
            then=Reads(samples=6, pixels={"train/train_0": {"foreground": 40}}),
        ),
    ),
    Case(
        name="dicom_png_masks",
        source="Project-MONAI/monai-deploy-app-sdk#282",
        situation="DICOM slices, some with black as the high value, PNG masks of the same names",
        build=lambda root: dicom(root, kind="MONOCHROME1"),
        expect=Reads(
            samples=6,
            classes=("background", "foreground"),
            pixels={"A1": {"foreground": 40}},
            told=("window in each file", "MONOCHROME1", "0.7 x 0.8"),
        ),
    ),
    Case(
        name="dicom_no_labels",
        source="MIC-DKFZ/nnUNet#2668",
        situation="DICOM slices in train/ and test/, no labels",
        build=dicom_without_labels,
        expect=Asks(says=("2 DICOM files without labels", "nothing can be trained")),
    ),
    Case(
        name="dicom_compressed",
        source="pydicom/pydicom#1282",
        situation="a slice compressed in a way that needs a package more",
        build=compressed,
        expect=Asks(says=("1 of 6 files", "JPEG-LS", "pip install 'pylibjpeg[all]'")),
    ),
    Case(
        name="heic_photos",
        source="replicate/lora-training#2",
        situation="HEIC photos of a phone among JPEG ones",
        build=phone_photos,
        expect=Reads(samples=3, pixels={"IMG_2": {"foreground": 40, "background": 728}}),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case, tmp_path: Path) -> None:
    """The situation ends as it has to."""
    check(case, tmp_path)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if isinstance(case.expect, Asks) and case.expect.then is not None],
    ids=lambda case: case.name,
)
def test_the_printed_option_is_one_that_reads(case: Case, tmp_path: Path) -> None:
    """What the question proposes can be copied: with its first option for each name, the folder is read."""
    case.build(tmp_path)
    found = detect(tmp_path)
    proposed: dict[str, Any] = {}
    for name, value in options_in(found.candidates[0].trouble):
        proposed.setdefault(name, YAML(typ="safe").load(value))
    assert proposed
    assert len(read_dataset(tmp_path, found.candidates[0].format, **proposed)) == case.expect.then.samples
