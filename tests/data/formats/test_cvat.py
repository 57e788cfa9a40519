"""CVAT's XML: every shape, subsets, tracks, and a message for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.data.formats._draw import draw, labels, parts, put

from segbench.data.formats import recognise
from segbench.data.formats.cvat.reader import cvat
from segbench.data.formats.cvat.tracks import shapes_by_frame
from segbench.data.manifest.read import read_dataset
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import ConfigError, DatasetError

RealData = Callable[[str], Path]
META = """<meta><task><start_frame>0</start_frame><stop_frame>9</stop_frame><labels>
<label><name>car</name><color>#ff0000</color></label><label><name>tree</name><color>#00ff00</color></label>
</labels><original_size><width>8</width><height>6</height></original_size></task></meta>"""
HEAD = f"<?xml version='1.0' encoding='utf-8'?>\n<annotations>\n<version>1.1</version>\n{META}\n"


def export(root: Path, inner: str, name: str = "annotations.xml") -> Path:
    put(root / name, f"{HEAD}{inner}\n</annotations>\n")
    return root


def one(root: Path, shapes: str, size: str = 'width="8" height="6"') -> Path:
    draw(root / "images" / "a.png")
    return export(root, f'<image id="0" name="a.png" {size}>{shapes}</image>')


def shapes_of(root: Path, **options: object) -> list[Shape]:
    mask = cvat(root, **options).entries[0].mask  # type: ignore[arg-type]
    assert isinstance(mask, Drawing)
    return list(mask.shapes)


def test_polygons_boxes_and_masks_become_labels(tmp_path: Path) -> None:
    root = one(
        tmp_path,
        '<polygon label="tree" points="0,0;4,0;4,2;0,2" z_order="0"/>'
        '<box label="car" xtl="6" ytl="0" xbr="8" ybr="3" z_order="1"/>'
        '<mask label="car" left="1" top="3" width="3" height="2" rle="1, 2, 2, 1"/><tag label="night"/>',
    )
    manifest = read_dataset(root, "cvat")
    assert manifest.class_map.names == ("background", "car", "tree")
    assert manifest.class_map.colors == ((0, 0, 0), (255, 0, 0), (0, 255, 0))
    assert labels(manifest, "a").tolist() == [
        [2, 2, 2, 2, 0, 0, 1, 1],
        [2, 2, 2, 2, 0, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert recognise(root) == {"cvat": "CVAT (annotations.xml)"}


def test_turned_boxes_and_ellipses(tmp_path: Path) -> None:
    root = one(
        tmp_path,
        '<box label="car" xtl="2" ytl="1" xbr="6" ybr="3" rotation="90"/>'
        '<ellipse label="car" cx="4" cy="3" rx="3" ry="1" rotation="90"/>',
    )
    box, ellipse = (np.array(shape.rings[0]).reshape(-1, 2) for shape in shapes_of(root))
    assert np.allclose(sorted(map(tuple, box)), [(3, 0), (3, 4), (5, 0), (5, 4)])  # about its middle (4, 2)
    assert np.allclose((ellipse.min(axis=0), ellipse.max(axis=0)), [(3, 0), (5, 6)], atol=0.01)


def test_lines_points_and_what_covers_nothing(tmp_path: Path) -> None:
    root = one(
        tmp_path,
        '<polyline label="car" points="0,1;7,1"/><points label="tree" points="1,4;6,4"/><skeleton label="car"/>',
    )
    line, *points = shapes_of(root, width_px=3.0)
    assert (line.line, line.width_px) == ((0, 1, 7, 1), 3.0)
    assert [point.line for point in points] == [(1, 4), (6, 4)]
    listing = cvat(root)
    assert [defect.code for defect in listing.defects] == ["unused_shape"]


def test_subsets_are_official_parts_and_names_may_repeat(tmp_path: Path) -> None:
    inner = ""
    for subset in ("Train", "Validation", "Test"):
        draw(tmp_path / "images" / subset.lower() / "a.png")
        inner += f'<image name="a.png" subset="{subset}" width="8" height="6"/>'
    export(tmp_path, inner)
    draw(tmp_path / "images" / "train" / "b.png")
    manifest = read_dataset(tmp_path, "cvat", classes=["car"])
    assert parts(manifest) == {"train/a": "train", "validation/a": "val", "test/a": "test"}
    assert any("1 image is not in annotations.xml and was left out: images/train/b.png" in n for n in manifest.notes)
    assert any("3 images without annotations" in note for note in manifest.notes)


def track(steps: str, label: str = "car") -> str:
    return f'<track id="7" label="{label}">{steps}</track>'


def box(frame: int, left: float, outside: int = 0) -> str:
    return f'<box frame="{frame}" outside="{outside}" xtl="{left}" ytl="0" xbr="{left + 2}" ybr="6"/>'


def test_tracks_move_evenly_between_key_frames_until_they_are_outside(tmp_path: Path) -> None:
    for frame in range(8):
        draw(tmp_path / f"frame_{frame:06d}.png")
    draw(tmp_path / "frame_000020.png")  # of no task
    export(tmp_path, track(box(1, 2) + box(3, 6) + box(5, 6, outside=1)))
    manifest = read_dataset(tmp_path, "cvat")
    lefts = {int(sample.id[-1]): np.flatnonzero(labels(manifest, sample.id)[0]).tolist() for sample in manifest.samples}
    assert lefts == {0: [], 1: [2, 3], 2: [4, 5], 3: [6, 7], 4: [6, 7], 5: [], 6: [], 7: []}
    assert any("8 frames of one video" in note for note in manifest.notes)
    assert read_dataset(tmp_path, "cvat", group="_(0+)").samples[0].group == "000000"


def test_polygons_of_unlike_length_are_held_and_the_last_one_stays(tmp_path: Path) -> None:
    for frame in range(5):
        draw(tmp_path / f"{frame}.png")
    polygons = '<polygon frame="0" outside="0" points="0,0;2,0;2,6;0,6"/>'
    export(tmp_path, track(polygons + '<polygon frame="2" outside="0" points="4,0;8,0;8,6;4,6;4,3"/>', "tree"))
    manifest = read_dataset(tmp_path, "cvat", classes=["tree"])
    assert [int(labels(manifest, str(frame)).sum()) for frame in range(5)] == [12, 12, 24, 24, 24]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ('<polygon points="0,0;1,1;2,0"/>', r"1 region in 1 image has no class .known are car, tree"),
        ('<cuboid label="car" xtl1="0"/>', r"a.png, <cuboid> 1: a region of the kind 'cuboid', which is not read"),
        ('<polygon label="car" points="0,0;1"/>', r"expected the attribute points, pairs x,y;x,y, got '0,0;1'"),
        ('<polygon label="car"/>', r"<polygon> 1: expected the attribute points, pairs x,y;x,y, got nothing"),
        (
            '<box label="car" xtl="1" ytl="x" xbr="2" ybr="2"/>',
            r"<box> 1: expected the attribute ytl, a number, got 'x'",
        ),
        ('<box label="car" xtl="nan" ytl="1" xbr="2" ybr="2"/>', r"expected the attribute xtl, a number, got 'nan'"),
        (
            '<mask label="car" left="0" top="0" width="2" height="2" rle="1, 2"/>',
            r"<mask> 1: run lengths add up to 3 pixels, expected 2 x 2 = 4",
        ),
        (
            '<mask label="car" left="0" top="0" width="1000000" height="1000000" rle="1000000000000"/>',
            r"a mask of 1000000 x 1000000 pixels is larger than any image",
        ),
        ('<mask label="car" left="0" top="0" width="2" height="2" rle="a"/>', r"attribute rle, whole numbers"),
        ('<polygon label="car" points="0,0;1,1"/>', r"a.png, shape 1: a polygon of 2 points; expected at least 3"),
        ('<polygon label="car" points="0,0;1,1;999,5"/>', r"coordinates that are no finite numbers, or far outside"),
    ],
)
def test_damaged_shapes(tmp_path: Path, shapes: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        cvat(one(tmp_path, shapes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>\n<image>\n</annotations>", r"annotations.xml: damaged XML at line 3, column 3"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>\n<annotations/>', r"line 1: expected plain XML, got a document type"),
        ("<annotation/>", r"expected the element <annotations>, got <annotation>"),
        (f"{HEAD}</annotations>", r"expected <image> or <track> elements, got none"),
        (f'{HEAD}<image width="1" height="1"/></annotations>', r"<image> 1: expected the attribute name"),
        (
            f'{HEAD}<image name="a.png" width="8"/></annotations>',
            r"a.png: expected height, a whole number of pixels, got ''",
        ),
        (f'{HEAD}<image name="x.png"/></annotations>', r"the one image that annotations.xml names .* \(x.png\)"),
        (f"{HEAD}{track('<box/>')}</annotations>", r"track 7, <box>: expected the attribute frame, a number, got ''"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / "frame_1.png")
    put(tmp_path / "annotations.xml", text)
    with pytest.raises(DatasetError, match=message):
        cvat(tmp_path, annotations="annotations.xml")


def test_an_image_twice_a_lost_one_and_two_files(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    good, lost = '<image name="a.png" width="8" height="6"/>', '<image name="b.png" width="8" height="6"/>'
    listing = cvat(export(tmp_path, good + lost))
    assert [(defect.code, defect.where) for defect in listing.defects] == [
        ("no_image", "b.png"),
        ("no_annotation", "a.png"),
    ]
    with pytest.raises(DatasetError, match=r"<image> 2: 'a.png' is the same file as 'a.png'"):
        cvat(export(tmp_path, good * 2))
    export(tmp_path, good, "more.xml")
    export(tmp_path, good)
    with pytest.raises(
        DatasetError, match=r"a.png is in annotations.xml and in more.xml; .* choose one file with .*: more.xml"
    ):
        cvat(tmp_path)
    assert len(cvat(tmp_path, annotations="more.xml").entries) == 1
    with pytest.raises(DatasetError, match=r"no file matches the option annotations: 'mor\.xml'"):
        cvat(tmp_path, annotations="mor.xml")
    for wrong in ("/tmp/more.xml", ""):
        with pytest.raises(ConfigError, match="expected a name or pattern below the data set's folder"):
            cvat(tmp_path, annotations=wrong)
    draw(tmp_path / "other" / "a.png")
    with pytest.raises(
        DatasetError, match=r"'/?a.png' could be 2 files \(a.png, other/a.png\); name the images' folder"
    ):
        cvat(tmp_path, annotations="more.xml")
    assert cvat(tmp_path, annotations="more.xml", images="other").entries[0].image == tmp_path / "other" / "a.png"


def test_classes_that_the_file_does_not_declare(tmp_path: Path) -> None:
    root = one(
        tmp_path,
        '<box label="caar" xtl="0" ytl="0" xbr="2" ybr="2"/><box label="car" xtl="0" ytl="0" xbr="2" ybr="2"/>',
    )
    with pytest.raises(DatasetError, match=r"a.png: the class 'caar' is none of those .*; did you mean 'car'"):
        cvat(root)
    listing = cvat(root, defects="skip")
    assert [defect.code for defect in listing.defects] == ["unknown_class"]
    assert (
        labels(read_dataset(root, "cvat", defects="skip", overlap="later_on_top"), "a")[0].tolist() == [1] * 2 + [0] * 6
    )
    apart = one(tmp_path, '<box label="caar" xtl="4" ytl="0" xbr="6" ybr="2"/>')
    assert labels(read_dataset(apart, "cvat", defects="skip"), "a")[0].tolist() == [0] * 4 + [255] * 2 + [0] * 2


MASK = '<mask label="car" left="0" top="0" width="2" height="2" rle="{}"/>'


def test_a_bad_shape_costs_its_image_alone(tmp_path: Path) -> None:
    for name in "ab":
        draw(tmp_path / f"{name}.png")
    bad = f'<image name="a.png" width="8" height="6">{MASK.format("0, 4")}{MASK.format("0, 9")}</image>'
    export(tmp_path, bad + f'<image name="b.png" width="8" height="6">{MASK.format("0, 4")}</image>')
    with pytest.raises(DatasetError, match=r"1 of 3 shapes cannot be drawn, in 1 of 2 images(.|\n)*a.png, <mask> 2"):
        cvat(tmp_path)
    listing = cvat(tmp_path, defects="skip")
    assert [defect.code for defect in listing.defects] == ["bad_rle"]
    assert [entry.id for entry in listing.entries] == ["b"]


def test_tasks_in_folders_of_their_own_are_one_set(tmp_path: Path) -> None:
    for name in ("task_1", "task_2"):
        draw(tmp_path / name / "images" / "sub" / "a.png")
        export(tmp_path / name, f'<image name="sub/a.png" width="8" height="6">{MASK.format("0, 4")}</image>')
    listing = cvat(tmp_path)
    assert [entry.id for entry in listing.entries] == ["task_1/images/sub/a", "task_2/images/sub/a"]
    assert "2 files were read as one set: task_1/annotations.xml, task_2/annotations.xml" in listing.notes
    path = tmp_path / "task_2" / "annotations.xml"
    put(path, path.read_text().replace("<name>car</name>", "<name>boat</name>").replace("<name>tree</name>", ""))
    with pytest.raises(DatasetError, match=r"classes car, tree, task_2/annotations.xml has boat: these are rather two"):
        cvat(tmp_path)
    assert len(cvat(tmp_path, annotations="task_1/annotations.xml").entries) == 1
    assert len(cvat(tmp_path, annotations="*/annotations.xml", defects="skip").entries) == 2


def test_videos_of_several_tasks_keep_their_frames_apart(tmp_path: Path) -> None:
    for name in ("task_1", "task_2"):
        draw(tmp_path / name / "frame_000001.png")
        export(tmp_path / name, track(box(1, 2)))
    listing = cvat(tmp_path)
    assert len(listing.entries) == 2
    export(tmp_path / "task_2", track('<box frame="1" outside="0" xtl="x" ytl="0" xbr="2" ybr="6"/>'))
    with pytest.raises(DatasetError, match=r"1 of 2 shapes cannot be drawn, in 1 of 2 images"):
        cvat(tmp_path)


def test_the_part_of_a_task_and_frames_without_image(tmp_path: Path) -> None:
    root = one(tmp_path / "task", "")
    path = root / "annotations.xml"
    put(path, path.read_text().replace("<task>", "<task><subset>Validation</subset>"))
    assert cvat(root, classes=["car"]).entries[0].split == "val"
    draw(tmp_path / "video" / "frame_000001.png")
    listing = cvat(export(tmp_path / "video", track(box(1, 0) + box(4, 0))))
    assert [(defect.code, defect.where) for defect in listing.defects] == [("no_image", "frame 4")]


def test_another_size_than_the_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"60.*80"):
        read_dataset(
            one(tmp_path, '<box label="car" xtl="1" ytl="1" xbr="5" ybr="5"/>', 'width="80" height="60"'), "cvat"
        )


@pytest.mark.data
def test_made_up_exports(real_data: RealData) -> None:
    root = real_data("format_fixtures") / "cvat_dataset"
    project = read_dataset(root / "for_images" / "export_project", "cvat")
    assert sorted(sample.split or "" for sample in project.samples) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert labels(project, "Train/img0")[2:4, :4].tolist() == [[1, 2, 1, 1], [1, 1, 2, 1]]  # a line over the box
    with pytest.raises(DatasetError, match=r"2 regions in 2 images have no class"):
        read_dataset(root / "for_images" / "export_task", "cvat")
    video = read_dataset(root / "for_video", "cvat")
    assert [sample.id for sample in video.samples] == ["frame_000010", "frame_000013", "frame_000016"]
    assert labels(video, "frame_000010")[4, 3:10].tolist() == [3] * 7
    assert not labels(video, "frame_000016").any()


@pytest.mark.data
def test_derived_export_and_label_studio_agree(real_data: RealData) -> None:
    root = real_data("annotation_exports")
    ours = read_dataset(root, "cvat")
    theirs = read_dataset(root, "labelstudio", annotations="labelstudio_derived.json")
    assert ours.class_map.names == theirs.class_map.names == (
        "background", "bus", "giraffe", "person", "sink", "toilet",
    )  # fmt: skip
    for sample in ours.samples:
        first, second = labels(ours, sample.id), labels(theirs, sample.id)
        assert (first != second).mean() < 2e-4  # CVAT's file has two decimals


def test_boxes_turn_the_short_way_between_frames() -> None:
    box = '<box frame="{}" xtl="2" ytl="1" xbr="6" ybr="3" rotation="{}"/>'
    track = ElementTree.fromstring(f'<track label="car">{box.format(0, 350)}{box.format(4, 10)}</track>')
    (shape,) = shapes_by_frame([track], {2: Path("2.png")}, Path("a.xml"), 1.0, [])[2]
    assert np.allclose(sorted(zip(*[iter(shape.rings[0])] * 2, strict=True)), [(2, 1), (2, 3), (6, 1), (6, 3)])
