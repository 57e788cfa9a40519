"""The table of smp's decoders: its options are smp's own, read without torch, and every one of them works."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any, Literal, get_args

import pytest
import segmentation_models_pytorch as smp
import torch

from segbench.errors import ConfigError
from segbench.models import MODELS, build_network
from segbench.models.smp import options
from segbench.models.smp.decoders import DECODERS
from segbench.options import Count, Probability


@pytest.mark.parametrize("name", DECODERS)
def test_options_and_defaults_are_those_of_smps_class(name: str) -> None:
    decoder = DECODERS[name]
    theirs = inspect.signature(getattr(smp, decoder.library_name)).parameters
    declared = {parameter.name: parameter.default for parameter in decoder.library_options.values()}
    assert declared == {key: theirs[key].default for key in declared}
    rest = set(theirs) - set(declared) - options.NO_OPTIONS - {"kwargs"}
    assert {options.NAMES.get(key, key) for key in rest} == set(decoder.left_out)
    assert set(decoder.library_options) | {"in_channels", "out_channels", "weights", "dropout"} == set(
        MODELS.options(f"smp/{name}")
    )


def test_every_network_of_smp_is_in_the_table() -> None:
    assert {decoder.library_name for decoder in DECODERS.values()} == {
        network.__name__ for network in smp.MODEL_ARCHITECTURES_MAPPING.values()
    }


def test_types_are_narrowed_to_what_works() -> None:
    signature = inspect.signature(DECODERS["fpn"])
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    assert hints["encoder_depth"] == Literal[4, 5]
    assert hints["merge"] == Literal["add", "cat"]
    assert (hints["decoder_channels"], hints["dropout"], get_args(hints["encoder"])[0]) == (Count, Probability, str)
    assert signature.parameters["dropout"].default == 0.2
    assert inspect.signature(DECODERS["deeplabv3"]).parameters["output_stride"].annotation == Literal[8, 16]
    assert inspect.signature(DECODERS["unet"]).parameters["attention"].default == "none"


@pytest.mark.slow
def test_the_table_is_read_without_torch_and_without_smp() -> None:
    code = (
        "import sys\nfrom segbench.models import MODELS\n"
        "assert 'decoder_pab_channels' in MODELS.options('smp/manet') and MODELS.summary('smp/manet')\n"
        "assert not {'torch', 'segmentation_models_pytorch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_class_that_smp_no_longer_has() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"has no Unet in .*moved.model\.py; install the version"):
        options.read_parameters("moved", "Unet")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("unet", {"decoder_use_norm": {"type": "instancenorm", "affine": True}, "decoder_interpolation": "bilinear"}),
        ("unet", {"decoder_use_norm": False}),
        ("linknet", {"decoder_use_norm": {"type": "batchnorm", "eps": 1e-3}}),
        ("manet", {"decoder_pab_channels": 8}),
        ("fpn", {"decoder_interpolation": "bicubic"}),
        ("deeplabv3", {"decoder_aspp_separable": True}),
    ],
)
def test_options_that_only_smp_names(name: str, given: dict[str, Any]) -> None:
    light = {"encoder": "tu-test_resnet" if name != "pspnet" else "resnet18"}
    torch.manual_seed(0)
    usual = build_network(f"smp/{name}", **light).eval()
    torch.manual_seed(0)
    network = build_network(f"smp/{name}", **light, **given).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert network(image).shape == (1, 1, 64, 64)
        assert not torch.equal(network(image), usual(image))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "unet",
            {"decoder_use_norm": "layernorm"},
            "decoder_use_norm must be true or false, one of batchnorm, identity or a mapping name: value",
        ),
        ("unet", {"decoder_interpolation": "cubic"}, "decoder_interpolation must be one of nearest, bilinear"),
        ("manet", {"decoder_pab_channels": 0}, "decoder_pab_channels must be an integer above 0"),
        ("deeplabv3", {"decoder_aspp_separable": "no"}, "decoder_aspp_separable must be true or false"),
        ("deeplabv3", {"encoder_depth": 4}, "has no option 'encoder_depth'"),
    ],
)
def test_wrong_values_of_them(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        build_network(f"smp/{name}", **given)
    assert raised.value.key == f"network.{next(iter(given))}"


def test_a_builder_takes_only_its_options() -> None:
    with pytest.raises(TypeError, match="depth"):
        DECODERS["unet"](depth=3)
    assert sum(parameter.numel() for parameter in DECODERS["unet"]().parameters()) == 24_436_369
