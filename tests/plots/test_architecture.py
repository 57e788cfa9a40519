"""The drawing: well-formed, complete, and nothing drawn over anything else."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from segbench.models import build_network
from segbench.models.describe import Description, describe
from segbench.plots.architecture import architecture_svg

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["unet_nearest", "unet_unpool", "segnet", "aspp_net", "simple_fcn", "sliding_window", "full_resolution_conv"]


@pytest.fixture(scope="module")
def descriptions() -> dict[str, Description]:
    return {name: describe(build_network(name), (128, 128), name=name) for name in NAMES}


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def boxes(root: ElementTree.Element) -> list[tuple[str, float, float, float, float]]:
    """Returns (name, left, top, right, bottom) of each block's box; of a stack the front one."""
    found = []
    for group in root.iter(f"{SVG}g"):
        rectangle = group.findall(f"{SVG}rect")[-1]
        x, y, width, height = (float(rectangle.get(key, "nan")) for key in ("x", "y", "width", "height"))
        title = group.find(f"{SVG}title")
        assert title is not None
        found.append(((title.text or "").partition(":")[0], x, y, x + width, y + height))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_drawn_once_and_beside_the_others(name: str, descriptions: dict[str, Description]) -> None:
    description = descriptions[name]
    root = ElementTree.fromstring(architecture_svg(description))
    drawn = boxes(root)
    assert [box[0] for box in drawn] == [block.name for block in description.blocks]
    width, height = (float(root.get(key, "nan")) for key in ("width", "height"))
    for first, second in combinations(drawn, 2):
        assert first[3] <= second[1] or second[3] <= first[1] or first[4] <= second[2] or second[4] <= first[2]
    assert all(0 <= box[1] < box[3] <= width and 0 <= box[2] < box[4] <= height for box in drawn)
    words = texts(root)
    for block in description.blocks:
        assert f"{block.channels} × {block.height_px} × {block.width_px}" in words
    assert any(f"{description.parameters:,} parameters" in word for word in words)


@pytest.mark.parametrize("name", NAMES)
def test_labels_do_not_run_into_each_other(name: str, descriptions: dict[str, Description]) -> None:
    root = ElementTree.fromstring(architecture_svg(descriptions[name]))
    spans = []
    for group in root.iter(f"{SVG}g"):
        for text in group.iter(f"{SVG}text"):
            half = (
                0.25 * float(text.get("font-size", "0")) * len(text.text or "")
            )  # half a letter each is a narrow text
            spans.append((float(text.get("x", "0")), float(text.get("y", "0")), half, text.text))
    for (x, y, half, word), (other_x, other_y, other_half, other) in combinations(spans, 2):
        if abs(y - other_y) < 10:
            assert abs(x - other_x) >= half + other_half, (word, other)


def test_coarser_is_lower_and_later_is_further_right(descriptions: dict[str, Description]) -> None:
    drawn = {box[0]: box for box in boxes(ElementTree.fromstring(architecture_svg(descriptions["unet_nearest"])))}
    order = ["encoder.0", "encoder.1", "encoder.2", "encoder.3", "bottleneck"]
    tops = [drawn[name][2] for name in order]
    heights = [drawn[name][4] - drawn[name][2] for name in order]
    assert tops == sorted(tops)
    assert heights == sorted(heights, reverse=True)
    assert drawn["decoder.2"][4] == drawn["encoder.2"][4]  # the same level
    lefts = [box[1] for box in drawn.values()]
    assert lefts == sorted(lefts)


def test_skips_are_lines_that_say_how_they_join(descriptions: dict[str, Description]) -> None:
    for name, skips, words in (
        ("unet_nearest", {"concat": 4}, ["concat"] * 4),
        ("segnet", {"indices": 4}, ["indices"] * 4),
        ("simple_fcn", {}, []),
    ):
        root = ElementTree.fromstring(architecture_svg(descriptions[name]))
        ends = [path.get("marker-end") for path in root.iter(f"{SVG}path") if path.get("fill") == "none"]
        blocks = len(descriptions[name].blocks)
        assert ends.count("url(#main)") == blocks - 1
        assert {kind: ends.count(f"url(#{kind})") for kind in skips} == skips
        labels = [text.text for text in root.findall(f"{SVG}text") if text.text in ("concat", "indices", "add")]
        assert labels == words


def test_both_kinds_of_one_skip_are_named(descriptions: dict[str, Description]) -> None:
    assert texts(ElementTree.fromstring(architecture_svg(descriptions["unet_unpool"]))).count("indices and concat") == 4


def test_work_in_parts_is_a_stack(descriptions: dict[str, Description]) -> None:
    root = ElementTree.fromstring(architecture_svg(descriptions["sliding_window"]))
    stacks = [group for group in root.iter(f"{SVG}g") if len(group.findall(f"{SVG}rect")) == 3]
    assert len(stacks) == sum(block.calls > 1 for block in descriptions["sliding_window"].blocks) > 0
    assert len(descriptions["sliding_window"].blocks) < 10


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"<a & b>": nn.Conv2d(3, 4, 3, padding=1), "wide": nn.Conv2d(4, 1, 3, dilation=40)})
        self.layers["wide"].padding = (40, 40)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers["wide"](F.relu(self.layers["<a & b>"](image)))


def test_names_are_escaped_and_warnings_shown() -> None:
    description = describe(Named(), (32, 32), name='<script>alert("x")</script>')
    text = architecture_svg(description)
    root = ElementTree.fromstring(text)
    assert "<script" not in text
    assert '<script>alert("x")</script>' in texts(root)
    assert "layers.<a & b>" in texts(root)
    assert any(word.startswith("Warning: layers.wide: dilation 40") for word in texts(root))


def test_the_file_needs_nothing_else(descriptions: dict[str, Description]) -> None:
    text = architecture_svg(descriptions["aspp_net"])
    assert re.findall(r'(?:href|src)="|@import|https?://(?!www\.w3\.org/2000/svg)', text) == []
    assert text == architecture_svg(descriptions["aspp_net"])
