"""Volumes, stacks, arrays and DICOM files: orientation, grey values, what is refused, and real files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage
from tests.cases.test_containers import boxes, decathlon, nifti, slice_file, tiff

from segbench.data.formats import recognise
from segbench.data.formats.npy.axes import fitting
from segbench.data.formats.shared.volumes import Grey, as_bytes
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, DatasetError

REAL_NIFTI = Path(nibabel.__file__).parent / "tests" / "data"
REAL_DICOM = Path(pydicom.__file__).parent / "data" / "test_files"


def marked(path: Path, affine: NDArray[Any], at: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    """Writes a volume with one voxel of 1, at a place in mm-axes order of the affine's own storage."""
    values = np.zeros(shape, dtype=np.uint8)
    values[at] = 1
    nifti(path, values, affine)


def one_pixel(manifest: Manifest, of: str = "image") -> tuple[str, int, int]:
    """Returns slice, row and column of the only pixel that is not 0."""
    for sample in manifest.samples:
        image, labels = load_sample(manifest, sample)
        plane = image[:, :, 0] if of == "image" else labels
        if plane.any():
            (row,), (column,) = np.nonzero(plane)
            return sample.id, int(row), int(column)
    raise AssertionError("no pixel is set")


# A voxel 1 from the patient's left edge, 2 from the back, 3 from the feet, of 8 x 9 x 10 voxels (left to right, ...).
@pytest.mark.parametrize(
    ("axis", "place"),
    [
        ("axial", ("a/003", 9 - 1 - 2, 8 - 1 - 1)),
        ("coronal", ("a/002", 10 - 1 - 3, 8 - 1 - 1)),
        ("sagittal", ("a/001", 10 - 1 - 3, 9 - 1 - 2)),
    ],
)
@pytest.mark.parametrize("stored", ["RAS", "LPS", "ASR"])
def test_slices_are_upright_however_the_volume_is_stored(
    tmp_path: Path, axis: str, place: tuple[str, int, int], stored: str
) -> None:
    affine, at, shape = {
        "RAS": (np.diag([1.0, 2.0, 3.0, 1.0]), (1, 2, 3), (8, 9, 10)),
        "LPS": (np.diag([-1.0, -2.0, 3.0, 1.0]), (6, 6, 3), (8, 9, 10)),
        "ASR": (np.array([[0, 0, 1, 0], [2, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1.0]]), (2, 3, 1), (9, 10, 8)),
    }[stored]
    for kind in ("images", "labels"):
        marked(tmp_path / kind / "a.nii", affine, at, shape)
    manifest = read_dataset(tmp_path, "nifti", axis=axis, depth_range=[0, 1])
    assert one_pixel(manifest) == place
    assert one_pixel(manifest, "labels") == place
    height, width = {"axial": (2, 1), "coronal": (3, 1), "sagittal": (3, 2)}[axis]
    assert any(f"a pixel is {height} x {width} mm" in note for note in manifest.notes)


def test_each_header_is_believed_where_the_user_says_so(tmp_path: Path) -> None:
    marked(tmp_path / "images" / "a.nii", np.diag([1.0, 1, 1, 1]), (1, 2, 3), (8, 9, 10))
    marked(tmp_path / "labels" / "a.nii", np.diag([-1.0, 1, 1, 1]), (1, 2, 3), (8, 9, 10))
    with pytest.raises(DatasetError, match=r"1 of 1 volumes lie elsewhere.*LAS.*RAS"):
        read_dataset(tmp_path, "nifti")
    row, column = 9 - 1 - 2, 8 - 1 - 1
    assert one_pixel(read_dataset(tmp_path, "nifti", grid="voxels"), "labels") == ("a/003", row, column)
    assert one_pixel(read_dataset(tmp_path, "nifti", grid="headers"), "labels") == ("a/003", row, 1)


def test_labels_of_the_same_place_stored_another_way_need_no_answer(tmp_path: Path) -> None:
    marked(tmp_path / "images" / "a.nii", np.diag([1.0, 1, 1, 1]), (1, 2, 3), (8, 9, 10))
    turned = np.array([[-1, 0, 0, 7.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    marked(tmp_path / "labels" / "a.nii", turned, (6, 2, 3), (8, 9, 10))
    manifest = read_dataset(tmp_path, "nifti")
    assert one_pixel(manifest) == one_pixel(manifest, "labels")


def test_grey_values_follow_the_window(tmp_path: Path) -> None:
    values = np.array([-200, -160, 40, 239, 240, 1000], dtype=np.int16).reshape(6, 1, 1)
    nifti(tmp_path / "images" / "a.nii", values)
    nifti(tmp_path / "labels" / "a.nii", (values > 0).astype(np.uint8))
    manifest = read_dataset(tmp_path, "nifti", window=[40, 400])
    image, _ = load_sample(manifest, manifest.samples[0])
    assert image[0, ::-1, 0].tolist() == [0, 0, 128, 254, 255, 255]


def test_wrong_windows_are_refused(tmp_path: Path) -> None:
    for wrong in ([40], [40, 0], "wide", [40, 400, 1]):
        with pytest.raises(ConfigError, match=r"data\.options\.window"):
            Grey.chosen(wrong, None)
    with pytest.raises(ConfigError, match="two ways"):
        Grey.chosen([40, 400], [0, 1])
    assert as_bytes(np.array([np.nan, 0.0, 1.0]), (0.0, 1.0)).tolist() == [0, 0, 255]


def test_real_volumes_are_read(tmp_path: Path) -> None:
    for name in ("anatomical.nii", "reoriented_anat_moved.nii"):
        image = nibabel.load(REAL_NIFTI / name)
        nifti(tmp_path / "images" / name, np.asanyarray(image.dataobj), image.affine)
        nifti(tmp_path / "labels" / name, (np.asanyarray(image.dataobj) > 1000).astype(np.uint8), image.affine)
    manifest = read_dataset(tmp_path, "nifti")
    assert len(manifest) == 25 + 22
    assert {(sample.height, sample.width) for sample in manifest.samples} == {(41, 33), (26, 21)}


@pytest.mark.parametrize(
    ("package", "extra", "what"),
    [
        ("nibabel", "medical", "7 NIfTI volumes"),
        ("pydicom", "medical", "2 DICOM files"),
        ("pyarrow", "hf", "1 Parquet"),
    ],
)
def test_a_missing_package_is_named_with_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str, what: str
) -> None:
    if package == "nibabel":
        decathlon(tmp_path)
    elif package == "pydicom":
        for number in range(2):
            slice_file(tmp_path / f"{number}.dcm", np.zeros((4, 4), dtype=np.int16), number=number)
    else:
        (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (name,) = recognise(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DatasetError, match=rf"{what}.*pip install 'segbench\[{extra}\]'"):
        read_dataset(tmp_path, name)


def test_a_geotiff_and_a_pyramid_are_no_stacks(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        large, small = Image.fromarray(boxes(1)[0]), Image.fromarray(boxes(1)[0]).resize((16, 12))
        large.save(tmp_path / kind / "a.tif")
        large.save(tmp_path / kind / "b.tif", save_all=True, append_images=[small])
    assert "tiff_stack" not in recognise(tmp_path)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    tiff(tmp_path / "images" / "a.tif", boxes(4))
    tiff(tmp_path / "masks" / "a.tif", boxes(4))
    path = tmp_path / "masks" / "a.tif"
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DatasetError, match=r"masks/a\.tif"):
        read_dataset(tmp_path, "tiff_stack")


@pytest.mark.parametrize(
    ("image", "mask", "letters"),
    [
        ((5, 24, 32), (5, 24, 32), "NHW NHW"),
        ((24, 32), (24, 32), "HW HW"),
        ((24, 32, 3), (24, 32), "HWC HW"),
        ((3, 24, 32), (24, 32), "CHW HW"),
        ((5, 24, 32, 3), (5, 24, 32), "NHWC NHW"),
        ((5, 3, 24, 32), (5, 1, 24, 32), "NCHW NCHW"),
        ((5, 24, 32), (5, 24, 32, 2), "NHW NHWC"),
        ((24, 32, 3), (24, 32, 2), "HWC HWC"),
    ],
)
def test_axes_follow_from_the_shapes(image: tuple[int, ...], mask: tuple[int, ...], letters: str) -> None:
    ((one, other),) = fitting(image, mask, None)
    assert f"{one.letters} {other.letters}" == letters


def test_axes_that_fit_twice_are_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((3, 3, 3, 3), dtype=np.uint8))
    np.save(tmp_path / "masks.npy", np.eye(3, dtype=np.uint8)[None].repeat(3, axis=0))
    with pytest.raises(DatasetError, match="layout: hwc"):
        read_dataset(tmp_path, "npy")
    assert len(read_dataset(tmp_path, "npy", layout="chw")) == 3


def test_arrays_that_do_not_fit_are_all_named(tmp_path: Path) -> None:
    for name, shape in (("a", (8, 9)), ("b", (9, 8)), ("c", (7, 9))):
        for kind, sides in (("images", (8, 9)), ("masks", shape)):
            (tmp_path / kind).mkdir(exist_ok=True)
            np.save(tmp_path / kind / f"{name}.npy", np.zeros(sides, dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"2 of 3 arrays(.|\n)*b: (.|\n)*c: "):
        read_dataset(tmp_path, "npy")


def test_planes_that_overlap_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 9), dtype=np.uint8))
    np.save(tmp_path / "masks.npy", np.ones((2, 8, 9, 3), dtype=np.uint8))
    with pytest.raises(DatasetError, match="3 planes that are not one a class"):
        read_dataset(tmp_path, "npy")


@pytest.mark.parametrize(("kind", "expected"), [("MONOCHROME2", [0, 0, 128, 255]), ("MONOCHROME1", [255, 255, 127, 0])])
def test_a_dicom_slice_is_shown_by_its_window(tmp_path: Path, kind: str, expected: list[int]) -> None:
    values = np.array([[-1000, 0, 50, 100]], dtype=np.int16)
    slice_file(tmp_path / "images" / "a.dcm", values, kind=kind)
    (tmp_path / "masks").mkdir()
    Image.fromarray((values > 0).astype(np.uint8)).save(tmp_path / "masks" / "a.png")
    manifest = read_dataset(tmp_path, "dicom")
    image, labels = load_sample(manifest, manifest.samples[0])
    assert image[0, :, 0].tolist() == expected
    assert labels.tolist() == [[0, 0, 1, 1]]
    assert "A" not in str(manifest.samples[0].group).removeprefix("patient-")


def segmentation(path: Path, frames: list[tuple[str, int, NDArray[Any]]]) -> None:
    """Writes a SEG file with the segments liver and tumour; frames are (uid of the slice, segment, bits)."""
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = "1.2.3.999"
    found.Modality, found.SegmentationType = "SEG", "BINARY"
    found.SegmentSequence = Sequence()
    for number, label in enumerate(("liver", "tumour"), 1):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        found.SegmentSequence.append(item)
    found.PerFrameFunctionalGroupsSequence = Sequence()
    for uid, number, _ in frames:
        segment, source, derived, frame = Dataset(), Dataset(), Dataset(), Dataset()
        segment.ReferencedSegmentNumber, source.ReferencedSOPInstanceUID = number, uid
        derived.SourceImageSequence = Sequence([source])
        frame.SegmentIdentificationSequence, frame.DerivationImageSequence = Sequence([segment]), Sequence([derived])
        found.PerFrameFunctionalGroupsSequence.append(frame)
    found.NumberOfFrames = len(frames)
    found.Rows, found.Columns = frames[0][2].shape
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 1
    found.HighBit = found.PixelRepresentation = 0
    bits = np.packbits(np.stack([plane for _, _, plane in frames]).astype(np.uint8).ravel(), bitorder="little")
    found.PixelData = bits.tobytes() + b"\0" * (len(bits) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save_as(path, enforce_file_format=True)


def test_a_dicom_segmentation_lies_on_the_slices_it_names(tmp_path: Path) -> None:
    for number in range(3):
        slice_file(tmp_path / "ct" / f"im{number}.dcm", np.zeros((8, 16), dtype=np.int16), number=number)
    liver, tumour = np.zeros((8, 16), bool), np.zeros((8, 16), bool)
    liver[1:5, 1:5], tumour[4:6, 4:6] = True, True
    segmentation(tmp_path / "seg.dcm", [("1.2.3.65.2", 1, liver), ("1.2.3.65.0", 1, liver), ("1.2.3.65.0", 2, tumour)])
    manifest = read_dataset(tmp_path, "dicom")
    assert manifest.class_map.names == ("background", "liver", "tumour")
    held = [load_sample(manifest, sample)[1] for sample in manifest.samples]
    assert [(labels == 1).sum() for labels in held] == [15, 0, 16]
    assert [(labels == 2).sum() for labels in held] == [3, 0, 0]
    assert [(labels == 255).sum() for labels in held] == [1, 0, 0]
    assert any("1 pixel belongs to several segments" in note for note in manifest.notes)


def test_a_segmentation_of_slices_that_are_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "liver.dcm").write_bytes((REAL_DICOM / "liver_1frame.dcm").read_bytes())
    with pytest.raises(DatasetError, match="3 of 3 segmented slices are not in this folder"):
        read_dataset(tmp_path, "dicom")


def test_real_dicom_files_are_read(tmp_path: Path) -> None:
    names = ["CT_small", "MR_small", "MR_small_RLE", "examples_palette", "examples_rgb_color", "JPEG2000"]
    for name in names:
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / "images" / f"{name}.dcm").write_bytes((REAL_DICOM / f"{name}.dcm").read_bytes())
        found = pydicom.dcmread(REAL_DICOM / f"{name}.dcm", stop_before_pixels=True)
        mask = np.zeros((found.Rows, found.Columns), dtype=np.uint8)
        mask[:10] = 1
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    manifest = read_dataset(tmp_path, "dicom")
    assert [sample.id for sample in manifest.samples] == sorted(names)
    colours = {sample.id: load_sample(manifest, sample)[0] for sample in manifest.samples}
    assert (colours["examples_rgb_color"] != colours["examples_rgb_color"][:, :, :1]).any()
    assert (colours["CT_small"] == colours["CT_small"][:, :, :1]).all()
