"""Whole images in tiles: every pixel covered, no seams, nothing depends on the other images."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segbench.predict.tiles import OVERLAP, Cut, Seams, Tiled, mirrored, tile_blocks, tile_starts, tiled_logits

SIZES = [(50, 70), (32, 32), (20, 90), (31, 31), (33, 64), (5, 7)]


@settings(max_examples=200, deadline=None)
@given(side=st.integers(1, 900), tile=st.integers(8, 300))
def test_tiles_cover_a_side_and_overlap(side: int, tile: int) -> None:
    starts = tile_starts(side, tile)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] == max(0, side - tile)  # to the edge, not beyond
    steps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(step <= tile * (1 - OVERLAP) + 1 for step in steps)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [(32, 32), (16, 24)])
def test_a_network_that_looks_at_one_pixel_gives_what_it_gives_untiled(
    size: tuple[int, int], tile: tuple[int, int]
) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))

    def pixelwise(batch: Tensor) -> Tensor:
        return torch.stack([batch[:, 0] * batch[:, 1], batch[:, 2].exp()], dim=1)

    assert torch.equal(tiled_logits(pixelwise, images, tile), pixelwise(images))
    convolution = nn.Conv2d(3, 4, 1).eval()
    with torch.inference_mode():
        torch.testing.assert_close(tiled_logits(convolution, images, tile), convolution(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_a_constant_stays_constant(size: tuple[int, int]) -> None:
    logits = tiled_logits(lambda batch: torch.full_like(batch[:, :1], 0.1), torch.zeros(1, 3, *size), (24, 16))
    assert logits.dtype == torch.float32
    assert torch.equal(logits, torch.full((1, 1, *size), 0.1))


def test_the_middle_of_a_tile_counts_more_than_its_border() -> None:
    """Tiles that disagree are blended evenly: from one's value to the other's, without a jump."""
    values = iter((0.0, 1.0))

    def steps(batch: Tensor) -> Tensor:
        return torch.stack([torch.full_like(tile[:1], next(values)) for tile in batch])

    [[row]] = tiled_logits(steps, torch.zeros(1, 3, 32, 56), (32, 32))[0, :, :1].tolist()
    assert row[:24] == [0.0] * 24
    assert row[32:] == [1.0] * 24
    assert row[24:32] == sorted(row[24:32])
    assert row[24] == pytest.approx(1 / 9)


def test_every_tile_has_the_size_the_network_was_trained_at() -> None:
    seen: set[tuple[int, ...]] = set()

    def network(batch: Tensor) -> Tensor:
        seen.add(tuple(batch.shape[2:]))
        return batch

    for size in SIZES:
        tiled_logits(network, torch.zeros(1, 3, *size), (32, 48))
    assert seen == {(32, 48)}


def test_a_small_image_is_mirrored_to_a_tile() -> None:
    assert mirrored(3, 8).tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert mirrored(4, 2).tolist() == [0, 1, 2, 3]
    seen: list[Tensor] = []
    tiled_logits(lambda batch: seen.append(batch) or batch, torch.arange(6.0).view(1, 1, 2, 3), (4, 4))  # type: ignore[func-returns-value]
    assert seen[0][0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]]


def test_an_image_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    network = Tiled(
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 3, padding=1)), (32, 32)
    )
    images = torch.randn(3, 3, 70, 45)
    network.eval()
    assert not network.network.training
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert torch.equal(together, alone)
    network.train(True)
    assert network.network.training


@pytest.mark.parametrize("cut", [Cut(tile=(32, 40)), Cut(tile=(64, 64), halo_px=8, stride_px=8)])
@pytest.mark.parametrize("size", [(150, 90), (33, 64), (77, 200)])
def test_going_on_at_any_row_gives_the_rest_unchanged(cut: Cut, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 2, 5, padding=2)
    image = torch.randn(1, 3, *size)
    with torch.inference_mode():
        every = list(tile_blocks(network, lambda a, b: image[:, :, a:b], size, cut))
        for first_row in range(0, size[0], 13):
            rest = list(tile_blocks(network, lambda a, b: image[:, :, a:b], size, cut, first_row=first_row))
            assert rest
            for block, again in zip(every[-len(rest) :], rest, strict=True):
                assert block[:2] == again[:2]
                assert torch.equal(block.logits, again.logits)
            left_out = every[: -len(rest)]
            assert all(block.top + block.logits.shape[1] <= first_row for block in left_out)


def test_rows_are_asked_for_from_top_to_bottom() -> None:
    for cut in (Cut(tile=(32, 40)), Cut(tile=(64, 64), halo_px=8, stride_px=8)):
        asked: list[tuple[int, int]] = []

        def read(a: int, b: int, asked: list[tuple[int, int]] = asked) -> Tensor:
            asked.append((a, b))
            return torch.zeros(1, 1, b - a, 70)

        covered = torch.zeros(200, 70)
        for top, left, logits in tile_blocks(lambda tiles: tiles, read, (200, 70), cut):
            covered[top : top + logits.shape[1], left : left + logits.shape[2]] += 1
        assert bool((covered == 1).all())  # every pixel once
        assert asked == sorted(asked)
        assert all(b - a <= cut.tile[0] for a, b in asked)


def test_seams_tell_how_often_neighbours_disagree() -> None:
    agree = Seams(lambda logits: logits[0] > 0)
    tiled_logits(lambda tiles: torch.ones_like(tiles), torch.zeros(1, 1, 100, 100), (32, 32), agree)
    assert agree.share == 0.0
    values = itertools.cycle((1.0, -1.0))
    disagree = Seams(lambda logits: logits[0] > 0)

    def alternating(tiles: Tensor) -> Tensor:
        return torch.stack([torch.full_like(tile, next(values)) for tile in tiles])

    tiled_logits(alternating, torch.zeros(1, 1, 32, 100), (32, 32), disagree)
    assert disagree.share == 1.0
    none = Seams(lambda logits: logits[0] > 0)
    tiled_logits(alternating, torch.zeros(1, 1, 32, 32), (32, 32), none)
    assert none.share is None
