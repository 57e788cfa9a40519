"""Encoders of segmentation-models-pytorch by name: which there are, what input they want, where their weights are."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]  # has no type information
import timm
import torch
from huggingface_hub import constants as hub
from segmentation_models_pytorch.encoders import encoders as SMP_ENCODERS  # type: ignore[import-untyped]
from segmentation_models_pytorch.encoders import get_encoder, is_equivalent_to_timm_universal
from torch import Tensor, nn

from segbench.errors import OptionError, WeightsError, shorten
from segbench.models.pretrained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    adapt_normalization,
    fetch,
    find_hub_file,
    from_hub,
    read_hub_file,
    sha256_of,
)
from segbench.models.smp.packaged import PackagedEncoder, find_packaged
from segbench.types import Normalization, WeightsOrigin

TIMM_PREFIX = "tu-"

# Means and deviations of smp's own encoders that are not ImageNet's; smp itself downloads them.
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
_OTHER_NORMALIZATIONS = {
    "dpn": _DPN,
    "inceptionresnetv2": _HALF,
    "inceptionv4": _HALF,
    "xception": _HALF,
    "timm-tf_efficientnet_lite": _HALF,
}

# timm's families that take one image size unless told otherwise, by module.
_ANY_SIZE: dict[str, dict[str, Any]] = {
    "swin_transformer": {"strict_img_size": False},
    "swin_transformer_v2": {"strict_img_size": False},
    "swin_transformer_v2_cr": {"strict_img_size": False},
    "vision_transformer": {"dynamic_img_size": True},
    "vision_transformer_hybrid": {"dynamic_img_size": True},
    "deit": {"dynamic_img_size": True},
    "eva": {"dynamic_img_size": True},
}


@dataclass(frozen=True)
class _Source:
    """Where weights are published: the hub's repository, its revision, the file, and its licence where it is stated."""

    repository: str
    revision: str
    file: str
    provider: str
    license: str = ""

    def place(self) -> str:
        """Returns where the hub's cache keeps the file; empty where the revision is a name only the hub resolves."""
        if self.revision == "main":
            return ""
        folder = f"models--{self.repository.replace('/', '--')}"
        return str(Path(hub.HF_HUB_CACHE) / folder / "snapshots" / self.revision / self.file)

    def cached(self) -> Path | None:
        """Returns the file in the hub's cache on this machine, if it is there."""
        return find_hub_file(self.repository, self.file, self.revision)


def encoder_names(word: str = "") -> list[str]:
    """Returns the encoders' names that contain `word`: segmentation_models.pytorch's own, then timm's as `tu-NAME`.

    Some of timm's give no feature maps; a network that is built with one says so.
    """
    own = sorted(name for name in smp.encoders.get_encoder_names() if not name.startswith(TIMM_PREFIX))
    universal = [f"{TIMM_PREFIX}{name}" for name in timm.list_models()]
    return [name for name in [*own, *universal] if word.lower() in name.lower()]


def check_encoder(name: str) -> str:
    """Returns the name as smp knows it, or raises OptionError with close matches."""
    if is_equivalent_to_timm_universal(name):  # names of old versions of smp
        name = name.replace("timm-", TIMM_PREFIX)
        name = name.replace(TIMM_PREFIX, f"{TIMM_PREFIX}tf_") if "mobilenetv3" in name else name
    if name in SMP_ENCODERS:
        return name
    architecture, _, tag = name.removeprefix(TIMM_PREFIX).partition(".")
    if name.startswith(TIMM_PREFIX) and timm.is_model(architecture):
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        if not tag or tag in tags:
            return name
        message = f"encoder {name!r}: timm has no weights {tag!r} of {architecture}; it has {shorten(tags)}"
        raise OptionError(message, option="encoder")
    every_timm = [f"{TIMM_PREFIX}{model}" for model in timm.list_models()]
    close = difflib.get_close_matches(name, [*SMP_ENCODERS, *every_timm], n=4, cutoff=0.6)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise OptionError(
        f"encoder {name!r} is unknown; {hint}there are {shorten(SMP_ENCODERS, 4)} of segmentation-models-pytorch, and "
        f"{TIMM_PREFIX}<name> for the {len(every_timm)} networks of timm, such as {TIMM_PREFIX}convnext_tiny",
        option="encoder",
    )


def check_weights(encoder: str, weights: str) -> str:
    """Returns `weights`, or raises OptionError unless they are `none` or published for this encoder."""
    names = ["none", *weight_names(encoder)]
    if weights not in names:
        message = f"weights of encoder {encoder!r} are {', '.join(names)} or the path of a file, got {weights!r}"
        raise OptionError(message, option="weights")
    return weights


def weight_names(encoder: str) -> list[str]:
    """Returns the names of the published weights of an encoder; timm's are all called `imagenet`, see `_source`."""
    if encoder in SMP_ENCODERS:
        return list(SMP_ENCODERS[encoder]["pretrained_settings"])
    return ["imagenet"] if timm.models.is_model_pretrained(encoder.removeprefix(TIMM_PREFIX)) else []


def encoder_normalization(encoder: str, weights: str, in_channels: int) -> Normalization:
    """Returns how an encoder's published weights want their input; the same where none are loaded."""
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    if encoder.startswith(TIMM_PREFIX):
        packaged = find_packaged(encoder)
        settings = timm.models.get_pretrained_cfg(encoder.removeprefix(TIMM_PREFIX))
        if packaged is not None:
            mean, std = packaged.mean, packaged.std
        elif settings is not None:
            mean, std = settings.mean, settings.std
    elif weights == "advprop":
        mean, std = _HALF
    else:
        for prefix, values in _OTHER_NORMALIZATIONS.items():
            if encoder.startswith(prefix):
                mean, std = values
    return adapt_normalization(mean, std, in_channels)


def library_options(encoder: str) -> dict[str, Any]:
    """Returns what timm must be told so that an encoder takes images of any size."""
    if not encoder.startswith(TIMM_PREFIX):
        return {}
    architecture = encoder.removeprefix(TIMM_PREFIX).partition(".")[0]
    return dict(_ANY_SIZE.get(timm.model_entrypoint(architecture).__module__.rpartition(".")[2], {}))


def pretrained_encoder(name: str, tensors: dict[str, Tensor] | None, options: Mapping[str, Any]) -> nn.Module:
    """Returns the library's encoder with its published weights: what `load_encoder` builds.

    Args:
        name: of the encoder.
        tensors: of the file, for smp's own encoders (smp's loader of files wants a second one that it does not use);
            None lets timm get them.
        options: of `get_encoder`, `in_channels` among them.
    Raises:
        Exception: whatever the libraries raise where the tensors are not those of the encoder.
    """
    if tensors is None:
        encoder: nn.Module = get_encoder(name, weights=True, **options)
        return encoder
    own: Any = get_encoder(name, depth=options.get("depth", 5))
    own.load_state_dict(dict(tensors))  # which takes the classifier out of what it is given
    own.set_in_channels(options["in_channels"], pretrained=True)
    return cast(nn.Module, own)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences what the libraries warn of while they build: deprecated names that we support on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_encoder(
    encoder: nn.Module, name: str, weights: str, build: Callable[[dict[str, Tensor] | None], nn.Module]
) -> WeightsOrigin:
    """Loads published weights into an encoder through the library's own code.

    Args:
        encoder: of the network; it may lack parts that the library's encoder has and the network does not use.
        name: of the encoder.
        weights: one of `weight_names(name)`.
        build: builds the encoder anew, with these tensors of its file (smp's own) or with those it gets (timm's).
    Raises:
        WeightsError: they are not on this machine and cannot be fetched, or the file there is another network's.
    """
    wanted = encoder.state_dict()
    left_out = 0
    packaged = find_packaged(name)
    in_package = packaged.find_file() if packaged is not None else None
    if packaged is not None and in_package is not None:
        tensors, file = _packaged_tensors(encoder, packaged, in_package), in_package
        provider, licence, trained_on = packaged.provider, packaged.license, packaged.trained_on
        left_out = len(tensors) - len(wanted)
    else:
        source = _source(name, weights)
        load = _load_own if name in SMP_ENCODERS else _load_timm
        with torch.random.fork_rng(devices=[]), quiet():
            tensors, left_out = fetch(
                lambda: load(source, wanted.keys(), build),
                what=f"weights {weights!r} of the encoder {name}",
                file=source.file,
                get_from=f"{hub.ENDPOINT}/{source.repository}/tree/{source.revision}",
                put_to=source.place(),
                cached=source.cached,
                by_path="" if packaged is None else f", or get them as a package: {packaged.install}",
            )
        provider, licence, trained_on = source.provider, source.license, ""
        file = source.cached() or Path(source.file)
    # Some encoders override load_state_dict with fewer arguments.
    nn.Module.load_state_dict(encoder, {key: tensors[key] for key in wanted})
    return WeightsOrigin(
        source=weights,
        part="encoder",
        provider=provider,
        license=licence,
        trained_on=trained_on,
        file=file.name,
        sha256=sha256_of(file) if file.is_file() else "",
        tensors=len(wanted),
        left_out=left_out,
    )


def _load_own(
    source: _Source, wanted: Collection[str], build: Callable[[dict[str, Tensor] | None], nn.Module]
) -> tuple[dict[str, Tensor], int]:
    """Returns the tensors of smp's encoder with its file loaded, and how many of the file's are not wanted."""
    published, _ = from_hub(lambda: read_hub_file(source.repository, source.file, source.revision))
    # Files of old versions of torch lack the counters of batch normalisation.
    return build(published).state_dict(), max(0, len(published) - len(wanted))


def _load_timm(
    source: _Source, wanted: Collection[str], build: Callable[[dict[str, Tensor] | None], nn.Module]
) -> tuple[dict[str, Tensor], int]:
    """Returns the tensors of timm's encoder with its file loaded; how many others the file has, timm does not tell.

    timm passes over names that it does not find, so the encoder is built twice: what the file does not hold is random,
    and differs.

    Raises:
        WeightsError: some of the wanted tensors are not in the file.
    """
    first, second = (from_hub(lambda: build(None)).state_dict() for _ in range(2))
    random = [name for name in wanted if not torch.equal(first[name], second[name])]
    if random:
        raise WeightsError(
            f"{len(random)} of {len(wanted)} tensors are not in the file: {shorten(random, 3)}",
            file=source.cached() or source.file,
        )
    return first, 0


def _source(name: str, weights: str) -> _Source:
    if name in SMP_ENCODERS:
        settings = SMP_ENCODERS[name]["pretrained_settings"][weights]
        repository, revision = settings["repo_id"], settings["revision"]
        provider = f"segmentation-models-pytorch {smp.__version__}: {repository}"
        return _Source(repository, revision, "model.safetensors", provider)
    full_name = name.removeprefix(TIMM_PREFIX)
    published: Any = timm.models.get_pretrained_cfg(full_name)
    repository = str(published.hf_hub_id or published.url or full_name)
    file = str(published.hf_hub_filename or "model.safetensors")
    return _Source(repository, "main", file, f"timm {timm.__version__}: {repository}", str(published.license or ""))


def _packaged_tensors(encoder: nn.Module, packaged: PackagedEncoder, file: Path) -> dict[str, Tensor]:
    """Returns the package's tensors under the encoder's names, the first convolution adapted to its channels."""
    tensors = {f"model.{key}": tensor for key, tensor in packaged.read(file).items()}
    first = "model.conv_stem.weight"
    in_channels = encoder.state_dict()[first].shape[1]
    return {**tensors, first: timm.models.adapt_input_conv(in_channels, tensors[first])}
