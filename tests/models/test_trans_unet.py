"""TransUNet: size, encoder equal to timm's hybrid, position embeddings at any size, skips, weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
import timm
import torch
import torch.nn.functional as F
from huggingface_hub import constants as hub
from torch import Tensor

from segbench.errors import ConfigError, WeightsError
from segbench.models import build_network, pretrained
from segbench.models.trans_unet import GRID, HybridEncoder, TransUNet, encoder_tensors

SMALL: dict[str, Any] = {"layers": [1, 1, 1], "width": 32, "embed_dim": 48, "depth": 2, "heads": 2}


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def convolution(inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> int:
    return inputs * outputs * kernel**2 + bias * outputs


def paper_count(outputs: int) -> int:
    """Parameters of R50-ViT-B/16 with the cascaded upsampler, written out from the paper's description.

    Every convolution in front of a normalisation is without bias; a normalisation has two values a channel.
    """
    resnet = convolution(3, 64, 7) + 2 * 64
    inputs = 64
    for units, channels in ((3, 256), (4, 512), (9, 1024)):
        middle = channels // 4
        for unit in range(units):
            resnet += convolution(inputs, middle, 1) + convolution(middle, middle, 3) + convolution(middle, channels, 1)
            resnet += 2 * (middle + middle + channels)
            if unit == 0:
                resnet += convolution(inputs, channels, 1) + 2 * channels
            inputs = channels
    block = 2 * 2 * 768 + 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768)
    transformer = convolution(1024, 768, 1, bias=True) + 14 * 14 * 768 + 12 * block + 2 * 768
    decoder = convolution(768, 512, 3) + 2 * 512
    for coarse, skip, fine in ((512, 512, 256), (256, 256, 128), (128, 64, 64), (64, 0, 16)):
        decoder += convolution(coarse + skip, fine, 3) + convolution(fine, fine, 3) + 4 * fine
    return resnet + transformer + decoder + convolution(16, outputs, 3, bias=True)


@pytest.mark.slow
def test_the_default_has_the_papers_number_of_parameters() -> None:
    """The paper's code for nine classes at 224 px is reported with 105.28 million."""
    network = build_network("trans_unet", out_channels=9)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == paper_count(9) == 105_277_081
    encoder = sum(parameter.numel() for module in network.encoder_modules() for parameter in module.parameters())
    assert encoder == 97_888_576


@pytest.mark.slow
def test_the_encoder_is_timms_hybrid() -> None:
    """At 224 px, where no embedding is interpolated: same tokens, but for the class token nobody attends to here."""
    torch.manual_seed(0)
    hybrid = timm.create_model("vit_base_r50_s16_224", num_classes=0).eval()
    encoder = HybridEncoder(
        in_channels=3, layers=(3, 4, 9), width=64, embed_dim=768, depth=12, heads=12, dropout=0.1
    ).eval()
    encoder.load_state_dict(encoder_tensors(hybrid.state_dict()), strict=True)
    image = noise(1, 3, 224, 224)
    with torch.no_grad():
        tokens, skips = encoder(image)
        patches = hybrid.patch_embed(image) + hybrid.pos_embed[:, 1:]
        expected = hybrid.norm(hybrid.blocks(patches))
        x = hybrid.patch_embed.backbone.stem.norm(hybrid.patch_embed.backbone.stem.conv(image))
        torch.testing.assert_close(skips[0], x)
        x = hybrid.patch_embed.backbone.stem.pool(x)
        for stage, skip in zip(hybrid.patch_embed.backbone.stages[:2], skips[1:], strict=True):
            x = stage(x)
            torch.testing.assert_close(skip, x)
    torch.testing.assert_close(tokens.flatten(2).transpose(1, 2), expected, atol=1e-4, rtol=1e-4)


def test_skips_and_tokens_at_an_odd_size() -> None:
    network = TransUNet(**SMALL).eval()
    with torch.no_grad():
        tokens, skips = network.encoder(noise(1, 3, 80, 112))
    assert tokens.shape == (1, 48, 5, 7)
    assert [tuple(skip.shape[1:]) for skip in skips] == [(32, 40, 56), (128, 20, 28), (256, 10, 14)]
    assert network.stride == 16
    for height, width in ((255, 301), (32, 33)):
        with torch.no_grad():
            assert network(noise(1, 3, height, width)).shape == (1, 1, height, width)


def test_positions_are_interpolated_to_the_grid_of_tokens() -> None:
    encoder = TransUNet(**SMALL).encoder
    with torch.no_grad():
        assert torch.equal(encoder._positions(GRID, GRID), encoder.pos_embed)
        # A ramp along each axis stays one, sampled at the centres of the new cells.
        rows = (torch.arange(GRID) + 0.5) / GRID
        ramp = torch.stack([rows[:, None].expand(GRID, GRID), rows.expand(GRID, GRID)]).flatten(1)  # (2, 196)
        encoder.pos_embed.zero_()
        encoder.pos_embed[0, :, :2] = ramp.T
        found = encoder._positions(7, 28)[0, :, :2].T.reshape(2, 7, 28)
    torch.testing.assert_close(found[0][:, 0], (torch.arange(7) + 0.5) / 7)
    torch.testing.assert_close(found[1][0, 2:-2], ((torch.arange(28) + 0.5) / 28)[2:-2])


def test_the_decoder_step_by_step() -> None:
    """Upsampling, then the skip behind it, none at the end: written out from the paper's figure."""
    torch.manual_seed(0)
    network = TransUNet(**SMALL, out_channels=3).eval()
    image = noise(1, 3, 64, 96)
    with torch.no_grad():
        tokens, (half, quarter, eighth) = network.encoder(image)
        x = network.bridge(tokens)
        for index, skip in enumerate((eighth, quarter, half, None)):
            x = F.interpolate(x, size=(8 * 2**index, 12 * 2**index), mode="bilinear", align_corners=True)
            x = network.decoder[index](x if skip is None else torch.cat([x, skip], dim=1))
        torch.testing.assert_close(network.head(x), network(image))
    inputs = [block[0][0].in_channels for block in network.decoder]
    assert inputs == [512 + 256, 256 + 128, 128 + 32, 64]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": [3, 4]}, "layers must be a list of 3 integers above 0"),
        ({"width": 48}, "width must be a multiple of 32"),
        ({"embed_dim": 100, "heads": 12}, "embed_dim must be a multiple of heads, 12, got 100"),
        ({"depth": 0}, "depth must be an integer above 0"),
        ({"dropout": 1}, "dropout must be a probability of 0 or more and below 1"),
        ({"decoder_channels": 64}, "decoder_channels must be a list of 4"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        build_network("trans_unet", **{**SMALL, **options})
    assert raised.value.key == f"network.{next(iter(options))}"


def test_published_weights_are_for_the_default_encoder_only() -> None:
    with pytest.raises(ConfigError, match=r"weights 'imagenet' are published for \{'layers'.*; use none") as raised:
        build_network("trans_unet", weights="imagenet", **SMALL)
    assert raised.value.key == "weights"
    with pytest.raises(ConfigError, match="weights must be one of none, imagenet, got 'coco'"):
        build_network("trans_unet", weights="coco")


@pytest.mark.slow
def test_published_weights_from_the_hubs_cache_or_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    class Session:
        def head(self, address: str, **options: object) -> None:
            raise httpx2.ConnectError("no network in this test")

    monkeypatch.setattr(pretrained, "get_session", Session)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    torch.manual_seed(0)
    network = build_network("trans_unet", weights="imagenet", load_weights=False)
    with pytest.raises(
        WeightsError, match=r"model\.safetensors from https://huggingface\.co/timm/vit_base_r50_s16_224"
    ):
        network.load_pretrained()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if not name.startswith("encoder.")}
    published = timm.create_model("vit_base_r50_s16_224", num_classes=0).state_dict()
    folder = tmp_path / "models--timm--vit_base_r50_s16_224.orig_in21k"
    commit = "0123456789" * 4
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    save_file(published, folder / "snapshots" / commit / "model.safetensors")
    origin = network.load_pretrained()
    assert (origin.source, origin.part, len(origin.sha256)) == ("imagenet", "encoder", 64)
    assert origin.provider == f"timm {timm.__version__}: timm/vit_base_r50_s16_224.orig_in21k"
    state = network.state_dict()
    assert torch.equal(state["encoder.backbone.stem.conv.weight"], published["patch_embed.backbone.stem.conv.weight"])
    assert torch.equal(state["encoder.pos_embed"], published["pos_embed"][:, 1:])
    assert torch.equal(state["encoder.blocks.11.mlp.fc2.weight"], published["blocks.11.mlp.fc2.weight"])
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())
    assert network.normalization.mean == network.normalization.std == (0.5, 0.5, 0.5)
    assert origin.left_out == 1  # the class token
    file = folder / "snapshots" / commit / "model.safetensors"
    by_path = build_network("trans_unet", weights=str(file))
    assert by_path.weights_origin.left_out == 1
    assert all(torch.equal(tensor, state[f"encoder.{name}"]) for name, tensor in by_path.encoder.state_dict().items())
    grey = build_network("trans_unet", weights="imagenet", in_channels=1).state_dict()
    first = "encoder.backbone.stem.conv.weight"
    torch.testing.assert_close(grey[first], state[first].sum(dim=1, keepdim=True))


@pytest.mark.slow
def test_a_wrong_or_damaged_file_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--timm--vit_base_r50_s16_224.orig_in21k"
    commit = "0123456789" * 4
    file = folder / "snapshots" / commit / "model.safetensors"
    file.parent.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    network = build_network("trans_unet", weights="imagenet", load_weights=False)
    save_file(timm.create_model("test_vit").state_dict(), file)
    with pytest.raises(
        WeightsError, match=r"does not hold timm's vit_base_r50_s16_224.* tensors differ.*remove the file"
    ):
        network.load_pretrained()
    file.write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=r"is damaged or holds something else than .*remove it") as raised:
        network.load_pretrained()
    assert raised.value.file == str(file)


def test_timms_form_of_the_encoder_by_path(tmp_path: Path) -> None:
    """Names with timm's `patch_embed.`, a class token in front of the positions, and a classifier."""
    torch.manual_seed(0)
    source = TransUNet(**SMALL).encoder.state_dict()
    hybrid = {
        f"patch_embed.{name}" if name.startswith(("backbone.", "proj.")) else name: tensor
        for name, tensor in source.items()
    }
    hybrid["pos_embed"] = torch.cat([torch.zeros(1, 1, 48), source["pos_embed"]], dim=1)
    torch.save({**hybrid, "cls_token": torch.zeros(1, 1, 48), "head.weight": torch.zeros(9, 48)}, tmp_path / "w.pth")
    network = build_network("trans_unet", weights=str(tmp_path / "w.pth"), **SMALL)
    origin = network.weights_origin
    assert (origin.part, origin.tensors, origin.left_out) == ("encoder", len(source), 2)
    assert all(torch.equal(tensor, source[name]) for name, tensor in network.encoder.state_dict().items())


def test_frozen_encoder_is_resnet_and_transformer() -> None:
    network = TransUNet(**SMALL)
    (encoder,) = network.encoder_modules()
    assert {name.partition(".")[0] for name, _ in encoder.named_parameters()} == {
        "backbone",
        "proj",
        "pos_embed",
        "blocks",
        "norm",
    }
