"""Weights from files and from caches: what fits, what is refused, and what a refusal leaves behind."""

from __future__ import annotations

import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants as hub
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn

from segbench.errors import WeightsError
from segbench.models import build_network, pretrained
from segbench.models.base import SegmentationNetwork
from segbench.models.pretrained import adapt_normalization, fetch, from_hub, load_file, read_tensors, sha256_of
from segbench.models.weights import save_weights
from segbench.types import Normalization


class Small(SegmentationNetwork):
    """An encoder in a wrapper, as timm's are in smp, and a head that depends on the outputs."""

    def __init__(self, out_channels: int = 2, width: int = 4) -> None:
        super().__init__(in_channels=3, out_channels=out_channels, stride=2)
        self.encoder = nn.Sequential(
            OrderedDict(model=nn.Sequential(OrderedDict(stem_0=nn.Conv2d(3, width, 3), bn=nn.BatchNorm2d(width))))
        )
        self.decoder = nn.Conv2d(width, 5, 3)
        self.head = nn.Conv2d(5, out_channels, 1)


def small(seed: int, **options: int) -> Small:
    torch.manual_seed(seed)
    return Small(**options)


def load(network: Small, path: Path) -> Any:
    return load_file(network, path, lambda: Small(out_channels=network.out_channels + 1))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def in_dict(key: str) -> Callable[[dict[str, Tensor]], dict[str, Any]]:
    return lambda state: {"epoch": 3, key: state, "optimizer": {"state": {0: torch.zeros(1)}}}


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Any]]:
    return lambda state: {prefix + key: value for key, value in state.items()}


FORMS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "plain": dict,
    "ordered": OrderedDict,
    "data parallel": prefixed("module."),
    "lightning": lambda state: {"state_dict": prefixed("model.")(state), "pytorch-lightning_version": "2.5"},
    "compiled": prefixed("_orig_mod."),
    "beside a tensor": lambda state: {"state_dict": state, "mean": torch.zeros(3)},
    "twice nested": lambda state: {"model": {"state_dict": state}},
    **{key: in_dict(key) for key in ("state_dict", "model_state_dict", "model", "network", "net", "weights")},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_file_of_the_whole_network(form: str, suffix: str, tmp_path: Path) -> None:
    source, target = small(0), small(1)
    path = tmp_path / f"weights{suffix}"
    torch.save(FORMS[form](source.state_dict()), path)
    origin = load(target, path)
    assert same(target.state_dict(), source.state_dict())
    assert (origin.part, origin.source, origin.provider) == ("network", str(path), "file")
    assert (origin.file, origin.sha256) == (path.name, sha256_of(path))
    assert (origin.tensors, origin.left_random, origin.left_out) == (len(source.state_dict()), (), 0)


def test_safetensors_and_other_number_formats(tmp_path: Path) -> None:
    source, target = small(0).half(), small(1)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load(target, tmp_path / "w.safetensors")
    assert all(tensor.dtype is torch.float32 for tensor in target.state_dict().values() if tensor.is_floating_point())
    torch.testing.assert_close(target.decoder.weight, source.decoder.weight.float())


def test_another_number_of_outputs_leaves_the_head_random(tmp_path: Path) -> None:
    source, target = small(0, out_channels=21), small(1)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    torch.save(source.state_dict(), tmp_path / "w.pt")
    origin = load(target, tmp_path / "w.pt")
    after = target.state_dict()
    assert origin.part == "network"
    assert origin.left_random == ("head.bias", "head.weight")
    assert origin.tensors == len(after) - 2
    assert torch.equal(after["head.weight"], before["head.weight"])
    assert all(torch.equal(after[name], source.state_dict()[name]) for name in after if not name.startswith("head."))


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"encoder.{name}",
        lambda name: name,
        lambda name: name.removeprefix("model."),
        lambda name: name.replace("stem_0", "stem.0"),
        lambda name: name.removeprefix("model.").replace("stem_0", "stem.0"),  # what timm publishes
        lambda name: f"backbone.{name}",
    ],
)
def test_a_file_of_the_encoder_alone(rename: Callable[[str], str], tmp_path: Path) -> None:
    source, target = small(0), small(1)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    tensors = {rename(name): tensor for name, tensor in source.encoder.state_dict().items()}
    torch.save({**tensors, "fc.weight": torch.zeros(1000, 4)}, tmp_path / "w.pt")
    origin = load(target, tmp_path / "w.pt")
    assert (origin.part, origin.tensors, origin.left_random) == ("encoder", len(tensors), ())
    assert origin.left_out == 1
    assert same(target.encoder.state_dict(), source.encoder.state_dict())
    assert torch.equal(target.state_dict()["decoder.weight"], before["decoder.weight"])


def test_the_encoder_of_another_network(tmp_path: Path) -> None:
    """A file with an encoder that fits and a decoder that does not gives the encoder, and the origin says so."""
    source, target = small(0), small(1)
    tensors = {**source.state_dict(), "decoder.weight": torch.zeros(7, 7)}
    torch.save(tensors, tmp_path / "w.pt")
    origin = load(target, tmp_path / "w.pt")
    assert origin.part == "encoder"
    assert origin.left_out == len(tensors) - len(target.encoder.state_dict()) == 4
    assert "4 tensors of the file are not used" in origin.sentence
    assert same(target.encoder.state_dict(), source.encoder.state_dict())


def test_an_encoder_of_several_modules(tmp_path: Path) -> None:
    """The way down of a U-Net with strided convolutions, whose decoder adds instead of concatenating."""
    options: dict[str, Any] = {"downsampling": "strided", "width": 4, "depth": 3}
    torch.manual_seed(0)
    source = build_network("unet", skip="concat", **options)
    torch.save({f"module.{name}": tensor for name, tensor in source.state_dict().items()}, tmp_path / "w.pt")
    torch.manual_seed(1)
    random = build_network("unet", skip="add", **options).state_dict()
    torch.manual_seed(1)
    network = build_network("unet", skip="add", weights=str(tmp_path / "w.pt"), **options)
    origin, state = network.weights_origin, source.state_dict()
    encoder = [name for name in state if name.startswith(("encoder.", "down."))]
    assert any(name.startswith("down.") for name in encoder)
    assert (origin.part, origin.tensors, origin.left_random) == ("encoder", len(encoder), ())
    assert origin.left_out == len(state) - len(encoder)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, (state if name in encoder else random)[name]), name
    missing = next(name for name in encoder if name.startswith("down."))
    del state[missing]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=f"compared with its encoder, 1 differ: {re.escape(missing)}"):
        build_network("unet", skip="add", weights=str(tmp_path / "w.pt"), **options)


@pytest.mark.parametrize("in_channels", [1, 4])
def test_filters_of_rgb_are_adapted(in_channels: int, tmp_path: Path) -> None:
    """A grey image, or one whose fourth channel repeats the first, gives about what the colours give."""
    torch.manual_seed(0)
    source: Any = build_network("unet", width=4, depth=2)
    source.normalization = Normalization(mean=(0.2, 0.4, 0.9), std=(0.5, 0.25, 0.25))
    save_weights(tmp_path / "w.safetensors", source, {"normalization": source.normalization.to_json()})
    target: Any = build_network("unet", width=4, depth=2, in_channels=in_channels)
    with pytest.raises(WeightsError, match="was trained on input normalised with mean"):
        load_file(target, tmp_path / "w.safetensors", lambda: target)
    target.normalization = adapt_normalization((0.2, 0.4, 0.9), (0.5, 0.25, 0.25), in_channels)
    origin = load_file(target, tmp_path / "w.safetensors", lambda: target)
    assert (origin.part, origin.left_out) == ("network", 0)
    assert origin.provider == f"file (RGB filters adapted to {in_channels} channels)"
    first = next(name for name, tensor in target.state_dict().items() if tensor.ndim == 4)
    theirs, ours = source.state_dict(), target.state_dict()
    filters = theirs[first]
    expected = filters.sum(dim=1, keepdim=True) if in_channels == 1 else filters[:, [0, 1, 2, 0]] * 0.75
    torch.testing.assert_close(ours.pop(first), expected)
    theirs.pop(first)
    assert same(ours, theirs)


def test_a_runs_file_for_another_input_is_refused(tmp_path: Path) -> None:
    source = small(0)
    stated = Normalization(mean=(0.5,) * 3, std=(0.5,) * 3)
    save_weights(tmp_path / "w.safetensors", source, {"normalization": stated.to_json()})
    with pytest.raises(
        WeightsError, match=r"normalised with mean \(0\.5, 0\.5, 0\.5\) .* takes mean \(0\.0, 0\.0, 0\.0\)"
    ):
        load(small(1), tmp_path / "w.safetensors")
    target = small(1)
    target.normalization = stated
    assert load(target, tmp_path / "w.safetensors").part == "network"


def test_parts_the_network_leaves_out_may_be_in_the_file(tmp_path: Path) -> None:
    source, target = small(0), small(1)
    target.unused_prefixes = ("encoder.model.classifier.",)
    torch.save({**source.state_dict(), "encoder.model.classifier.weight": torch.zeros(9)}, tmp_path / "w.pt")
    assert load(target, tmp_path / "w.pt").part == "network"


def test_a_misfit_names_the_first_tensors_and_changes_nothing(tmp_path: Path) -> None:
    source, target = small(0, width=6), small(1)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    torch.save(source.state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError) as raised:
        load(target, tmp_path / "w.pt")
    text = str(raised.value)
    assert text.startswith(f"{tmp_path / 'w.pt'}: holds {len(before)} tensors that do not fit Small")
    assert "(file: (6,), network: (4,))" in text
    assert re.search(r"and \d more", text)
    assert "state dict of the same network with the same options" in text
    assert "encoder alone" in text
    assert same(target.state_dict(), before)


@pytest.mark.parametrize("change", ["missing", "left over"])
def test_one_tensor_too_few_or_too_many(change: str, tmp_path: Path) -> None:
    tensors = dict(small(0).state_dict())
    if change == "missing":
        del tensors["encoder.model.bn.running_mean"]
    else:
        tensors["encoder.model.bn.strange"] = torch.zeros(4)
        del tensors["encoder.model.bn.running_var"]
    torch.save(tensors, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"1 differ: .*running_mean \(file: missing|running_var \(file: missing"):
        load(small(1), tmp_path / "w.pt")


def test_a_stray_tensor_beside_a_prefixed_network_is_not_passed_over(tmp_path: Path) -> None:
    tensors = {**prefixed("module.")(small(0).state_dict()), "average.weight": torch.zeros(3)}
    torch.save(tensors, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="do not fit Small"):
        load(small(1), tmp_path / "w.pt")


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    source, target = small(0), small(1)
    with torch.no_grad():
        source.decoder.weight[0, 0, 0, 0] = float("nan")
    torch.save(source.state_dict(), tmp_path / "w.pt")
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(WeightsError, match=r"not finite in 1 of \d+ tensors: decoder.weight"):
        load(target, tmp_path / "w.pt")
    assert same(target.state_dict(), before)


class Harmful:
    """Writes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path(self.path), "run"))


@pytest.mark.parametrize("way", ["torch", "pickle"])
def test_pickled_code_is_refused_and_does_not_run(way: str, tmp_path: Path) -> None:
    path, witness = tmp_path / "w.pt", tmp_path / "witness"
    content = {"state_dict": small(0).state_dict(), "callback": Harmful(str(witness))}
    if way == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match=r"could run code; save it again with torch\.save"):
        read_tensors(path)
    assert not witness.exists()


def test_damaged_files(tmp_path: Path) -> None:
    torch.save(small(0).state_dict(), tmp_path / "whole.pt")
    save_file(small(0).state_dict(), tmp_path / "whole.safetensors")
    for whole in (tmp_path / "whole.pt", tmp_path / "whole.safetensors"):
        content = whole.read_bytes()
        for index, damaged in enumerate(
            [b"", content[:1], content[:10], content[: len(content) // 2], content[:-30], b"<html>not found</html>"]
        ):
            path = tmp_path / f"{index}{whole.suffix}"
            path.write_bytes(damaged)
            with pytest.raises(WeightsError, match=r"is damaged or no weights file: .") as raised:
                read_tensors(path)
            assert raised.value.file == str(path)
    (tmp_path / "photo.pth").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(WeightsError, match="is damaged or no weights file"):
        read_tensors(tmp_path / "photo.pth")


def test_files_without_tensors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file; looked at /"):
        read_tensors(tmp_path / "missing.pt")
    with pytest.raises(WeightsError, match="is a folder, not a file"):
        read_tensors(tmp_path)
    for content, message in [
        ([torch.zeros(1)], "expected a state dict .* found list"),
        ({"epoch": 3, "lr": 0.1}, "holds no tensors, only epoch, lr"),
        ({}, "holds no tensors, only nothing"),
        ({"state_dict": {}}, "holds no tensors"),
    ]:
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(WeightsError, match=message):
            read_tensors(tmp_path / "w.pt")


def test_a_failed_fetch_is_one_error_with_what_to_do() -> None:
    def fail() -> None:
        raise OSError("no route\nto host")

    with pytest.raises(WeightsError) as raised:
        fetch(fail, what="weights of X", file="x.pth", get_from="https://example.org/x", put_to="/cache/x.pth")
    assert str(raised.value) == (
        "x.pth: weights of X are not on this machine and could not be fetched (OSError: no route). Get the file x.pth "
        "from https://example.org/x and put it at /cache/x.pth, or anywhere and name its path in `weights`"
    )
    with pytest.raises(WeightsError, match="put it anywhere and name its path"):
        fetch(fail, what="weights of X", file="x.pth", get_from="there")
    with pytest.raises(WeightsError, match=r"name its path in `weights` and set y$"):
        fetch(fail, what="weights of X", file="x.pth", get_from="there", by_path=" and set y")


def test_a_damaged_file_in_the_cache_is_to_be_removed(tmp_path: Path) -> None:
    """The file itself: the hub's cache has a link to it."""
    (tmp_path / "blob").write_bytes(b"")
    (tmp_path / "x.pth").symlink_to(tmp_path / "blob")

    def fail() -> None:
        raise EOFError("ran out of input")

    with pytest.raises(WeightsError) as raised:
        fetch(fail, what="weights of X", file="x.pth", get_from="there", cached=lambda: tmp_path / "x.pth")
    assert str(raised.value) == (
        f"{tmp_path / 'blob'}: is damaged or holds something else than weights of X (EOFError: ran out of input); "
        "remove it, so that it is fetched again"
    )


def test_what_a_library_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    fetch(lambda: sys.stdout.write("Downloading: x.pth\n"), what="weights of X", file="x.pth", get_from="there")
    assert capsys.readouterr() == ("", "Downloading: x.pth\n")


def test_the_hub_is_asked_after_the_cache_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            calls.append(f"head {address} {timeout}")
            raise ConnectionError("unreachable")

    def download() -> str:
        calls.append("offline" if hub.HF_HUB_OFFLINE else "online")
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(pretrained, "get_session", Session)
    with pytest.raises(ConnectionError):
        from_hub(download)
    assert calls == ["offline", f"head {hub.ENDPOINT} {pretrained.HUB_TIMEOUT_S}"]
    assert not hub.HF_HUB_OFFLINE
    assert from_hub(lambda: "cached") == "cached"
    assert len(calls) == 2

    monkeypatch.setattr(Session, "head", lambda self, address, timeout: None)
    with pytest.raises(LocalEntryNotFoundError):
        from_hub(download)
    assert calls[2:] == ["offline", "online"]


@pytest.mark.parametrize("in_channels", [1, 2, 3, 5])
def test_the_adapted_normalisation_suits_the_adapted_filters(in_channels: int) -> None:
    """One grey value in every channel must give what the same grey gives in RGB, for filters adapted by timm."""
    from timm.models import adapt_input_conv

    mean, std = (0.4, 0.4, 0.4), (0.25, 0.25, 0.25)
    rgb = torch.rand(6, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    rgb[:, 1:] = rgb[:, :1]  # so that "R, G, B, R" cannot weigh channels differently
    found = adapt_normalization(mean, std, in_channels)
    grey = torch.full((1, 1, 3, 3), 0.7)
    expected = torch.conv2d((grey.expand(1, 3, 3, 3) - 0.4) / 0.25, rgb)
    shifted = grey.expand(1, in_channels, 3, 3) - torch.tensor(found.mean).view(1, -1, 1, 1)
    actual = torch.conv2d(shifted / torch.tensor(found.std).view(1, -1, 1, 1), adapt_input_conv(in_channels, rgb))
    torch.testing.assert_close(actual, expected)
    assert adapt_normalization((0.1, 0.2, 0.3), (1.0, 2.0, 3.0), 5).std == (1.0, 2.0, 3.0, 1.0, 2.0)
