"""A row a sample, the original first, ignored pixels veiled."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.plots.augment_preview import augment_preview
from segbench.types import ClassMap, Task

STREET = ClassMap(names=("void", "road", "car"), values=((0,), (1,), (2,)))


def test_a_row_a_sample_with_the_masks_drawn_over() -> None:
    image, mask = np.full((20, 30, 3), 100, np.uint8), np.zeros((20, 30), np.uint8)
    mask[5:10, 5:10], mask[15:, :] = 2, 255
    window = (image[:16, :16], mask[:16, :16])
    figure = augment_preview([(image, window[0])] * 3, [(mask, window[1])] * 3, STREET, titles=("a", "b", "c"))
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["original", "epoch 1", "", "", "", ""]
    assert [axes.get_ylabel() for axes in panels[::2]] == ["a", "b", "c"]
    shown = np.asarray(panels[0].images[0].get_array())
    assert shown[0, 0].tolist() == [100, 100, 100]
    assert shown[5, 5].tolist() == list(STREET.colors[2])
    assert shown[17, 20].tolist() == [117, 117, 117]
    assert np.asarray(panels[1].images[0].get_array()).shape == (16, 16, 3)
    assert panels[1].get_xlim() == panels[0].get_xlim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "car", "ignored"]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_and_planes(channels: int) -> None:
    image = np.arange(4 * 5 * channels, dtype=np.uint8).reshape(4, 5, channels)
    planes = np.zeros((2, 4, 5), np.uint8)
    classes = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    figure = augment_preview([[image]], [[planes]], classes)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    wanted = image[:, :, :3] if channels > 2 else image[:, :, [0, 0, 0]]
    assert np.array_equal(shown, wanted)


def test_images_and_masks_must_be_as_many() -> None:
    image, mask = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    for images, masks in (([], []), ([[image]], [[mask, mask]]), ([[image], [image] * 2], [[mask], [mask] * 2])):
        with pytest.raises(ValueError, match="expected as many masks as images"):
            augment_preview(images, masks, STREET)
