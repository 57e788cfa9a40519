"""torchvision's networks: their logits and state dicts, their weights by way of torch's cache, other channel counts."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet50, segmentation

from segbench.errors import ConfigError, WeightsError
from segbench.models import build_network
from segbench.models.pretrained import sha256_of
from segbench.models.torchvision_networks import VOC_CLASSES

BUILDERS = {
    "fcn_resnet50": segmentation.fcn_resnet50,
    "deeplabv3_resnet50": segmentation.deeplabv3_resnet50,
    "lraspp_mobilenet_v3": segmentation.lraspp_mobilenet_v3_large,
}
COCO_FILES = {
    "fcn_resnet50": "fcn_resnet50_coco-1167a1af.pth",
    "deeplabv3_resnet50": "deeplabv3_resnet50_coco-cd0a2569.pth",
    "lraspp_mobilenet_v3": "lraspp_mobilenet_v3_large-d234d4ea.pth",
}
IMAGENET_FILES = {
    "fcn_resnet50": "resnet50-0676ba61.pth",
    "deeplabv3_resnet50": "resnet50-0676ba61.pth",
    "lraspp_mobilenet_v3": "mobilenet_v3_large-8738ca79.pth",
}


def theirs(name: str, *, outputs: int = 21, auxiliary: bool = False) -> nn.Module:
    options = {"aux_loss": True} if auxiliary else {}
    torch.manual_seed(7)
    network: nn.Module = BUILDERS[name](weights=None, weights_backbone=None, num_classes=outputs, **options)
    return network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder where torch looks for downloaded weights, empty; the network is cut off."""

    def refuse(*args: object, **options: object) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_logits_and_state_dict_are_torchvisions(name: str) -> None:
    other = theirs(name, auxiliary=name == "fcn_resnet50").eval()
    options = {"auxiliary": True} if name == "fcn_resnet50" else {}
    network = build_network(name, out_channels=21, **options).eval()
    network.load_state_dict(other.state_dict(), strict=True)
    for height, width in ((65, 70), (33, 47)):
        image = torch.rand(1, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(network(image), other(image)["out"], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50"])
def test_auxiliary_logits_in_training_mode_only(name: str) -> None:
    network = build_network(name, out_channels=3, auxiliary=True)
    image = torch.rand(2, 3, 40, 33)
    found = network(image)
    assert isinstance(found, tuple)
    assert [tuple(part.shape) for part in found] == [(2, 3, 40, 33)] * 2
    assert network.auxiliary_weights == (0.5,)
    assert isinstance(network.eval()(image), Tensor)
    with torch.no_grad():
        features = network.backbone(image)
        expected = nn.functional.interpolate(network.aux_classifier(features["aux"]), (40, 33), mode="bilinear")
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.Dropout):
                module.eval()
        torch.testing.assert_close(network(image)[1], expected)


def test_voc_classes() -> None:
    assert len(VOC_CLASSES) == 21
    assert VOC_CLASSES[0] == "__background__"
    assert [VOC_CLASSES.index(name) for name in ("aeroplane", "cat", "dog", "person", "tvmonitor")] == [
        1,
        8,
        12,
        15,
        20,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_coco_voc_loads_everything_from_torchs_cache(name: str, cache: Path) -> None:
    published = theirs(name, auxiliary=name != "lraspp_mobilenet_v3").state_dict()  # as torchvision's files are
    torch.save(published, cache / COCO_FILES[name])
    network = build_network(name, out_channels=21, weights="coco_voc")
    assert all(torch.equal(tensor, published[key]) for key, tensor in network.state_dict().items())
    origin = network.weights_origin
    assert (origin.source, origin.part, origin.left_random) == ("coco_voc", "network", ())
    assert origin.file == COCO_FILES[name]
    assert origin.sha256 == sha256_of(cache / COCO_FILES[name])
    assert origin.tensors == len(network.state_dict())
    assert "torchvision" in origin.provider
    assert "COCO_WITH_VOC_LABELS_V1" in origin.provider


@pytest.mark.slow
@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50"])
def test_the_published_file_by_name_and_by_path(name: str, auxiliary: bool, cache: Path) -> None:
    torch.save(theirs(name, auxiliary=True).state_dict(), cache / COCO_FILES[name])
    options = {"out_channels": 21, "auxiliary": auxiliary}
    named = build_network(name, weights="coco_voc", **options)
    by_path = build_network(name, weights=str(cache / COCO_FILES[name]), **options)
    assert named.weights_origin.part == by_path.weights_origin.part == "network"
    left_out = 0 if auxiliary else 8  # a convolution, a normalisation of five, the outputs' weight and bias
    assert named.weights_origin.left_out == by_path.weights_origin.left_out == left_out
    assert named.weights_origin.tensors == by_path.weights_origin.tensors
    state = named.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in by_path.state_dict().items())


def test_a_damaged_file_in_the_cache(cache: Path) -> None:
    (cache / COCO_FILES["lraspp_mobilenet_v3"]).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=r"is damaged or holds something else .*remove it") as raised:
        build_network("lraspp_mobilenet_v3", weights="coco_voc")
    assert raised.value.file == str(cache / COCO_FILES["lraspp_mobilenet_v3"])


@pytest.mark.parametrize(("name", "layers"), [("lraspp_mobilenet_v3", ("high_classifier", "low_classifier"))])
def test_other_outputs_stay_random_and_are_named(name: str, layers: tuple[str, ...], cache: Path) -> None:
    published = theirs(name).state_dict()
    torch.save(published, cache / COCO_FILES[name])
    network = build_network(name, out_channels=4, weights="coco_voc")
    expected = tuple(f"classifier.{layer}.{part}" for layer in layers for part in ("bias", "weight"))
    assert network.weights_origin.left_random == expected
    state = network.state_dict()
    assert all(torch.equal(state[key], published[key]) for key in state if key not in expected)


@pytest.mark.slow
def test_other_outputs_of_the_fcn_with_auxiliary_head(cache: Path) -> None:
    torch.save(theirs("fcn_resnet50", auxiliary=True).state_dict(), cache / COCO_FILES["fcn_resnet50"])
    origin = build_network("fcn_resnet50", out_channels=2, auxiliary=True, weights="coco_voc").weights_origin
    assert origin.left_random == (
        "aux_classifier.4.bias",
        "aux_classifier.4.weight",
        "classifier.4.bias",
        "classifier.4.weight",
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn_resnet50", "lraspp_mobilenet_v3"])
def test_imagenet_loads_the_backbone(name: str, cache: Path) -> None:
    torch.manual_seed(5)
    classifier = mobilenet_v3_large(weights=None) if name == "lraspp_mobilenet_v3" else resnet50(weights=None)
    published = classifier.state_dict()
    torch.save(published, cache / IMAGENET_FILES[name])
    torch.manual_seed(0)
    random = build_network(name, weights="none").state_dict()
    torch.manual_seed(0)
    network = build_network(name, weights="imagenet")
    for key, tensor in network.state_dict().items():
        part, _, rest = key.partition(".")
        prefix = "features." if name == "lraspp_mobilenet_v3" else ""
        assert torch.equal(tensor, published[prefix + rest] if part == "backbone" else random[key]), key
    assert network.weights_origin.part == "encoder"
    assert network.weights_origin.tensors == len(network.backbone.state_dict())


def test_other_channels_get_the_filters_summed_or_repeated(cache: Path) -> None:
    published = theirs("lraspp_mobilenet_v3").state_dict()
    torch.save(published, cache / COCO_FILES["lraspp_mobilenet_v3"])
    filters = published["backbone.0.0.weight"]
    grey = build_network("lraspp_mobilenet_v3", in_channels=1, out_channels=21, weights="coco_voc")
    torch.testing.assert_close(grey.state_dict()["backbone.0.0.weight"], filters.sum(dim=1, keepdim=True))
    four = build_network("lraspp_mobilenet_v3", in_channels=4, out_channels=21, weights="coco_voc")
    torch.testing.assert_close(four.state_dict()["backbone.0.0.weight"], filters[:, [0, 1, 2, 0]] * 0.75)
    assert four.normalization.mean == (0.485, 0.456, 0.406, 0.485)
    assert grey.normalization.std == (pytest.approx((0.229 + 0.224 + 0.225) / 3),)


@pytest.mark.parametrize("weights", ["imagenet", "coco_voc"])
def test_without_network_one_error_says_what_to_do(weights: str, cache: Path) -> None:
    file = (COCO_FILES if weights == "coco_voc" else IMAGENET_FILES)["lraspp_mobilenet_v3"]
    with pytest.raises(WeightsError) as raised:
        build_network("lraspp_mobilenet_v3", weights=weights)
    text = str(raised.value)
    assert f"Get the file {file} from https://download.pytorch.org/models/{file}" in text
    assert f"put it at {cache / file}" in text
    assert "no network in this test" in text
    network = build_network("lraspp_mobilenet_v3", weights=weights, load_weights=False)  # needs no file
    assert network.weights_origin.source == "random"


def test_a_file_of_another_network_in_the_cache(cache: Path) -> None:
    torch.save(resnet50(weights=None).state_dict(), cache / COCO_FILES["lraspp_mobilenet_v3"])
    with pytest.raises(WeightsError, match=r"does not hold the weights of lraspp_mobilenet_v3: \d+ tensors .*remove"):
        build_network("lraspp_mobilenet_v3", out_channels=21, weights="coco_voc")


def test_options_and_their_errors() -> None:
    with pytest.raises(ConfigError, match="weights must be one of none, imagenet, coco_voc, got 'voc'") as raised:
        build_network("lraspp_mobilenet_v3", weights="voc")
    assert raised.value.key == "weights"
    with pytest.raises(ConfigError, match="has no option 'auxiliary'"):
        build_network("lraspp_mobilenet_v3", auxiliary=True)
    assert build_network("lraspp_mobilenet_v3").smallest_training_batch == 1


def test_a_file_of_the_backbone(tmp_path: Path) -> None:
    """A classifier's file, its own head beside the backbone, under torchvision's names."""
    torch.manual_seed(3)
    classifier = mobilenet_v3_large(weights=None)
    published = classifier.features.state_dict()
    torch.save(classifier.state_dict(), tmp_path / "mobilenet.pth")
    network = build_network("lraspp_mobilenet_v3", weights=str(tmp_path / "mobilenet.pth"))
    assert network.weights_origin.part == "encoder"
    assert all(torch.equal(tensor, published[key]) for key, tensor in network.backbone.state_dict().items())
