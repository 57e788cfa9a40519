"""Weights to start from: a local file, or what a library publishes; never code, and never silently something else."""

from __future__ import annotations

import hashlib
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from huggingface_hub import constants as hub
from huggingface_hub import get_session, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import safe_open
from safetensors.torch import load_file as load_safetensors
from torch import Tensor, nn

from segbench.errors import WeightsError, shorten
from segbench.models.base import SegmentationNetwork
from segbench.models.weights import decode_metadata, misfits
from segbench.types import Normalization, WeightsOrigin

Fetched = TypeVar("Fetched")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RGB_CHANNELS = 3
HUB_TIMEOUT_S = 5.0

# Keys that training scripts nest the state dict under.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "weights")
_PREFIXES = ("", "module.", "model.", "network.", "net.", "_orig_mod.", "encoder.", "backbone.", "features.")


def load_file(network: SegmentationNetwork, path: Path, sibling: Callable[[], nn.Module]) -> WeightsOrigin:
    """Loads a file's tensors into a network, or into its encoder, and says which.

    Names and shapes must be those of the network, or of its encoder, apart from a common prefix (`module.`, `model.`,
    `encoder.` and the like) and from dots that a library writes as underscores. Of the network, only tensors whose
    shape depends on `out_channels` may differ: they stay random, and `left_random` names them. For the encoder, the
    file must have every tensor; what it has beside them (a classifier, a decoder) is left out, and counted. A first
    convolution made for RGB is adapted to another number of input channels, and `provider` says so.

    Args:
        network: freshly built; unchanged where this raises.
        path: safetensors, or what `torch.save(network.state_dict())` wrote, also nested under `state_dict`, `model` and
            the like; loaded with `weights_only=True`, so the file cannot run code.
        sibling: builds the same network for another number of outputs, to learn which tensors depend on it.
    Raises:
        WeightsError: no such file, no tensors in it, numbers that are not finite, or tensors that do not fit (names the
            first and their shapes).
    """
    tensors = read_tensors(path)
    _require_same_input(network, path)
    try:
        named = network.rename_published(tensors)
    except ValueError as error:
        raise WeightsError(str(error), file=path) from error
    attempts: list[tuple[int, str, list[str]]] = []
    head = _output_tensors(network, sibling)
    for target in _targets(network):
        for prefix in _PREFIXES:
            behind = _behind(named, prefix, target, network.unused_prefixes)
            if behind is None:
                continue
            fitting = _adapted(behind, target.wanted, network.in_channels)
            wrong = misfits(fitting, target.wanted, head if target.part == "network" else ())
            if not wrong:
                origin = _load(target, fitting, path)
                provider = (
                    "file" if fitting is behind else f"file (RGB filters adapted to {network.in_channels} channels)"
                )
                return replace(origin, provider=provider, left_out=len(tensors) - origin.tensors)
            attempts.append((len(wrong), target.part, wrong))
    _, part, wrong = min(attempts, key=lambda attempt: attempt[0])
    alone = ", or of its encoder alone" if network.encoder_modules() else ""
    raise WeightsError(
        f"holds {len(tensors)} tensors that do not fit {type(network).__name__}; compared with its {part}, "
        f"{len(wrong)} differ: {shorten(wrong, 3)}. What fits: a state dict of the same network with the same options "
        f"(its output layer may differ){alone}",
        file=path,
    )


@dataclass(frozen=True)
class _Target:
    """What a file may hold: a module, and the tensors of it that the file must have."""

    part: Literal["encoder", "network"]
    module: nn.Module
    wanted: Mapping[str, Tensor]


def _require_same_input(network: SegmentationNetwork, path: Path) -> None:
    """Raises WeightsError where a run's file says that its network wants its input normalised in another way.

    Shapes cannot tell: the same encoder exists with the conventions of two libraries, and would be wrong in silence.
    """
    if path.suffix.lower() != ".safetensors":
        return
    with safe_open(str(path), framework="pt") as stored:
        stated = decode_metadata(stored.metadata()).get("normalization")
    if stated is None:
        return
    theirs, ours = Normalization.from_json(stated), network.normalization
    if len(theirs.mean) == RGB_CHANNELS:  # as `_adapted` does with the filters
        theirs = adapt_normalization(theirs.mean, theirs.std, network.in_channels)
    if theirs != ours:
        raise WeightsError(
            f"was trained on input normalised with mean {theirs.mean} and std {theirs.std}, but "
            f"{type(network).__name__} with these options takes mean {ours.mean} and std {ours.std}; build it with the "
            "conventions of the run that wrote the file (its config.yaml says weights and network)",
            file=path,
        )


def _targets(network: SegmentationNetwork) -> Iterator[_Target]:
    """Yields what a file may hold: the network, its encoder, and what a library's wrapper of an encoder holds."""
    state = network.state_dict()
    yield _Target("network", network, state)
    encoders = network.encoder_modules()
    if len(encoders) > 1:  # their tensors, under the names they have in the network
        names = [name for name, module in network.named_modules() if any(module is encoder for encoder in encoders)]
        inside = tuple(f"{name}." for name in names)
        yield _Target("encoder", network, {name: state[name] for name in state if name.startswith(inside)})
    elif encoders:
        module = encoders[0]
        yield _Target("encoder", module, module.state_dict())
        children = list(module.children())
        while len(children) == 1 and len(children[0].state_dict()) == len(module.state_dict()):
            module = children[0]
            yield _Target("encoder", module, module.state_dict())
            children = list(module.children())


def _behind(
    tensors: Mapping[str, Tensor], prefix: str, target: _Target, unused: tuple[str, ...]
) -> dict[str, Tensor] | None:
    """Returns the tensors behind a prefix that a target may want; None where a whole network would have others left."""
    found = _renamed(tensors, prefix, target.wanted)
    if target.part == "encoder":
        return {key: value for key, value in found.items() if key in target.wanted}
    if not all(key.startswith(prefix) for key in tensors):
        return None
    return {key: value for key, value in found.items() if not key.startswith(unused)}


def _renamed(tensors: Mapping[str, Tensor], prefix: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors behind a prefix, under the network's names where only dots and underscores differ."""
    ours = {name.replace(".", "_"): name for name in wanted}
    found = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            found[name if name in wanted else ours.get(name.replace(".", "_"), name)] = value
    return found


def _adapted(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor], in_channels: int) -> dict[str, Tensor]:
    """Returns `tensors`, with a first convolution of RGB adapted to another number of channels, as the libraries do."""
    first = next((name for name, tensor in wanted.items() if tensor.ndim == 4), None)
    if first is None or first not in tensors or in_channels == RGB_CHANNELS:
        return tensors
    theirs, ours = tensors[first].shape, wanted[first].shape
    if len(theirs) != 4 or (theirs[1], ours[1]) != (RGB_CHANNELS, in_channels) or theirs[2:] != ours[2:]:
        return tensors
    return {**tensors, first: adapt_filters(tensors[first], in_channels)}


def _load(target: _Target, tensors: Mapping[str, Tensor], path: Path) -> WeightsOrigin:
    fitting = {key: value for key, value in tensors.items() if value.shape == target.wanted[key].shape}
    broken = [key for key, value in fitting.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise WeightsError(
            f"holds numbers that are not finite in {len(broken)} of {len(fitting)} tensors: {shorten(broken, 3)}; "
            "the training that wrote it diverged, take an earlier file",
            file=path,
        )
    # Some libraries' encoders override load_state_dict with fewer arguments; names and shapes are checked already.
    nn.Module.load_state_dict(target.module, fitting, strict=False)
    return WeightsOrigin(
        source=str(path),
        part=target.part,
        file=path.name,
        sha256=sha256_of(path),
        tensors=len(fitting),
        left_random=tuple(sorted(target.wanted.keys() - fitting.keys())),
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors or state-dict file, on the CPU, by name.

    Raises:
        WeightsError: no such file, it is damaged, holds other things than tensors, or holds none.
    """
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "there is no such file"
        raise WeightsError(f"{kind}; looked at {path.absolute()}", file=path)
    found = _unpack(_read(path))
    if not isinstance(found, Mapping):
        raise WeightsError(f"expected a state dict (name -> tensor), found {type(found).__name__}", file=path)
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"holds no tensors, only {shorten(found, 4) or 'nothing'}", file=path)
    return tensors


def _read(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".safetensors":
            return load_safetensors(str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are then refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in a dozen ways inside pickle, zip and torch; all are re-raised
        if isinstance(error, pickle.UnpicklingError) and _holds_more(path, str(error)):
            raise WeightsError(
                "holds more than tensors and plain values, and loading it could run code; save it again with "
                "torch.save(network.state_dict(), path) or as safetensors",
                file=path,
            ) from error
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise WeightsError(f"is damaged or no weights file: {reason}", file=path) from error


def _holds_more(path: Path, reason: str) -> bool:
    """Tells a well-formed pickle of other things from rubbish, for which torch raises the same exception."""
    with path.open("rb") as stream:
        is_pickle = stream.read(2) in (b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch itself writes 2
    return is_pickle or "Unsupported global" in reason or "Unsupported class" in reason


def _unpack(found: Any) -> Any:
    """Returns the innermost state dict of what a training script saved."""
    while isinstance(found, Mapping):
        inner = next((found[key] for key in _WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = inner
    return found


def fetch(
    download: Callable[[], Fetched],
    *,
    what: str,
    file: str,
    get_from: str,
    put_to: str = "",
    cached: Callable[[], Path | None] = lambda: None,
    by_path: str = "",
) -> Fetched:
    """Returns what a library's loader gives; every way it can fail to is one WeightsError with what to do.

    Args:
        download: calls the library; what it prints goes to stderr.
        what: the weights in words, for example `ImageNet weights of the encoder resnet34`.
        file: name of the file.
        get_from: where it is published.
        put_to: where the library looks for it on this machine; empty where a file alone is not enough.
        cached: returns the file on this machine, None where it is not there.
        by_path: what else a config needs that names the file, for the end of the sentence.
    """
    try:
        with redirect_stdout(sys.stderr):
            return download()
    except Exception as error:  # urllib, huggingface_hub and httpx share no base class; all are re-raised
        reason = error.reason if isinstance(error, WeightsError) else f"{type(error).__name__}: {error}"
        reason = reason.partition("\n")[0][:200]
        found = cached()
        if found is not None:
            raise WeightsError(
                f"is damaged or holds something else than {what} ({reason}); remove it, so that it is fetched again",
                file=found.resolve(),  # the hub's cache has links, and would make a removed one anew
            ) from error
        place = f"put it at {put_to}, or anywhere" if put_to else "put it anywhere"
        raise WeightsError(
            f"{what} are not on this machine and could not be fetched ({reason}). Get the file {file} from {get_from} "
            f"and {place} and name its path in `weights`{by_path}",
            file=file,
        ) from error


def fetch_torchvision(weights: Any, *, what: str, by_path: str = "") -> tuple[Mapping[str, Tensor], Path]:
    """Returns the tensors of one of torchvision's published weights, and where torch's cache has the file.

    Args:
        weights: of torchvision's enumerations.
        what, by_path: see `fetch`.
    Raises:
        WeightsError: see `fetch`.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    tensors: Mapping[str, Tensor] = fetch(
        lambda: weights.get_state_dict(progress=False, check_hash=True),
        what=what,
        file=file.name,
        get_from=weights.url,
        put_to=str(file),
        cached=lambda: file if file.is_file() else None,
        by_path=by_path,
    )
    return tensors, file


def find_hub_file(repository: str, file: str, revision: str) -> Path | None:
    """Returns a file of a repository of the Hugging Face hub in this machine's cache, None where it is not there."""
    found = try_to_load_from_cache(repository, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def read_hub_file(repository: str, file: str, revision: str) -> tuple[dict[str, Tensor], Path]:
    """Returns the tensors of a weights file of the Hugging Face hub, and where it lies; to be called in `from_hub`.

    Raises:
        WeightsError: it is damaged or holds no tensors.
        Exception: what the hub's client raises where it is neither in the cache nor to be fetched.
    """
    path = Path(hf_hub_download(repository, file, revision=revision))
    return read_tensors(path), path


def from_hub(download: Callable[[], Fetched]) -> Fetched:
    """Returns what a loader built on the Hugging Face hub gives: from this machine's cache, else from the network.

    The hub's own client asks the network first and tries again for half a minute where there is none; this asks the
    cache first and then once whether the server answers.

    Raises:
        Exception: what the loader or the connection raises; `fetch` makes one error of it.
    """
    try:
        with _hub_offline():
            return download()
    except LocalEntryNotFoundError:
        get_session().head(hub.ENDPOINT, timeout=HUB_TIMEOUT_S)
        return download()


@contextmanager
def _hub_offline() -> Iterator[None]:
    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


def adapt_normalization(mean: Sequence[float], std: Sequence[float], in_channels: int) -> Normalization:
    """Returns the normalisation of weights made for RGB, for any number of channels.

    The libraries adapt the first convolution likewise: one channel gets the sum of the three filters, hence the average
    mean and deviation here; more channels get the filters of R, G, B, R, ... scaled to the same total, hence their
    means and deviations in turn.

    Example:
        >>> adapt_normalization((0.25, 0.5, 0.75), (0.5, 0.5, 0.5), 1)
        Normalization(mean=(0.5,), std=(0.5,))
        >>> adapt_normalization((0.25, 0.5, 0.75), (0.5, 0.5, 0.5), 4).mean
        (0.25, 0.5, 0.75, 0.25)
    """
    if in_channels == 1:
        return Normalization(mean=(sum(mean) / len(mean),), std=(sum(std) / len(std),))
    turns = [channel % len(mean) for channel in range(in_channels)]
    return Normalization(mean=tuple(float(mean[turn]) for turn in turns), std=tuple(float(std[turn]) for turn in turns))


def adapt_filters(weight: Tensor, in_channels: int) -> Tensor:
    """Returns a first convolution's RGB filters (out, 3, k, k) for another number of channels, as timm adapts them."""
    if in_channels == weight.shape[1]:
        return weight
    from timm.models import adapt_input_conv  # slow to import, and only needed here

    adapted: Tensor = adapt_input_conv(in_channels, weight)
    return adapted


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _output_tensors(network: nn.Module, sibling: Callable[[], nn.Module]) -> set[str]:
    """Returns the names of the tensors whose shape depends on `out_channels`: what another task changes."""
    with torch.random.fork_rng(devices=[]):
        others = sibling().state_dict()
    return {name for name, tensor in network.state_dict().items() if others[name].shape != tensor.shape}
