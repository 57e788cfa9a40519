"""A trained model in one file: weights, and everything around them that decides what they say about an image.

::

    segbench.json            the list of the members with sizes and hashes, and the format
    model.json               how an image goes through (`PipelineSettings`), and which networks there are
    card.json                what a person wants to know before they use it: scores, data, licences, versions
    weights_0.safetensors    one a network, the very bytes of the run's `best.safetensors`

Opening one runs no code: it holds numbers and JSON. docs/decisions/0017 says why it is made so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from torch import Tensor

from segbench.errors import BundleError, ConfigError, RunError, shorten
from segbench.files import json_text, write_text
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.models import build_network, is_weights_file
from segbench.models.base import SegmentationNetwork
from segbench.models.weights import load_weights, misfits
from segbench.predict.bundle_members import (
    SUFFIX,
    Member,
    is_bundle,
    members_id,
    read_json,
    read_members,
    write_folder,
    write_zip,
)
from segbench.predict.model_card import model_card
from segbench.predict.pipeline import PipelineSettings
from segbench.speech import in_shell
from segbench.types import Normalization

README = "README.md"
_MODEL, _CARD = "model.json", "card.json"


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """How a network is built again, before its weights are loaded.

    Attributes:
        name: in `segbench.MODELS`.
        options: of its builder.
        in_channels, out_channels: of the image, and logits a pixel.
        normalization: of its input.
        weights: name of the published weights that it was built for (some networks are made otherwise for them), or
            `none`. They are not loaded.
    """

    name: str
    options: Mapping[str, Any]
    in_channels: int
    out_channels: int
    normalization: Normalization
    weights: str = "none"

    def build(self) -> SegmentationNetwork:
        """Returns the network with random weights.

        Raises:
            ConfigError: this segbench has no such network, or it takes no such options.
        """
        network = build_network(
            self.name,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            weights=self.weights,
            load_weights=False,
            **self.options,
        )
        network.normalization = self.normalization
        return network

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "name": self.name,
            "options": dict(self.options),
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "normalization": {"mean": list(self.normalization.mean), "std": list(self.normalization.std)},
            "weights": self.weights,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> NetworkSpec:
        """Returns what `to_dict` gave."""
        normalization = plain["normalization"]
        return cls(
            **{key: plain[key] for key in ("name", "options", "in_channels", "out_channels", "weights")},
            normalization=Normalization(mean=tuple(normalization["mean"]), std=tuple(normalization["std"])),
        )


@dataclass(frozen=True, kw_only=True)
class ModelBundle:
    """One trained network, or several whose probabilities are averaged, with everything that belongs to it.

    Attributes:
        settings: how an image goes through.
        networks: how each is built.
        card: plain values: scores and what they mean, uses of the test part, data, licences, versions; empty for a run
            that is read as it is.
        weight_files: where the weights are, one a network; they are read when they are asked for.
        source: the file or folder that it was read from, for error messages.
    """

    settings: PipelineSettings
    networks: tuple[NetworkSpec, ...]
    weight_files: tuple[Member | RunWeights, ...] = field(repr=False)
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    source: Path

    @classmethod
    def read(cls, path: str | Path) -> ModelBundle:
        """Returns the bundle in a file or a folder; weights are read, and checked, when they are asked for.

        Raises:
            BundleError: no bundle, a damaged one, or one of a newer format (names file and member).
        """
        path = Path(path)
        members = read_members(path)
        for name in (_MODEL, _CARD):
            if name not in members:
                raise BundleError("is missing; this is no bundle of segbench", file=path, member=name)
        plain = read_json(members[_MODEL], path)
        try:
            settings = PipelineSettings.from_dict(plain["settings"])
            networks = tuple(NetworkSpec.from_dict(each) for each in plain["networks"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            told = f"is not what segbench writes ({type(error).__name__}: {error}); make the bundle again"
            raise BundleError(told, file=path, member=_MODEL) from error
        wanted = [_weights_name(index) for index in range(len(networks))]
        if not wanted or set(members) != {_MODEL, _CARD, *wanted}:
            told = f"is for the members {', '.join(wanted)}, and the bundle has {', '.join(sorted(members))}"
            raise BundleError(told, file=path, member=_MODEL)
        return cls(
            settings=settings,
            networks=networks,
            weight_files=tuple(members[name] for name in wanted),
            card=read_json(members[_CARD], path),
            source=path,
        )

    @classmethod
    def of_run(cls, run: str | Path) -> ModelBundle:
        """Returns a run folder's best checkpoint as a bundle without a card, whose weights stay where they are.

        Raises:
            RunError: no run folder, or one whose files are damaged.
        """
        folder = RunFolder(Path(run))
        if StudyFolder(folder.path).config_file.is_file():
            told = "this is a study with many runs; name one of its runs, or bundle its best entry with"
            made = f"`segbench bundle {in_shell(folder.path)} --best`"
            raise RunError(f"{told} {made}; predict and evaluate also take --entry", run=folder.path)
        settings = PipelineSettings.of_run(folder)
        config = folder.read_config()
        spec = NetworkSpec(
            name=config.network.name,
            options=config.network.options,
            in_channels=settings.channels,
            out_channels=settings.class_map.out_channels,
            normalization=settings.normalization,
            weights="none" if config.weights is None or is_weights_file(config.weights) else config.weights,
        )
        return cls(settings=settings, networks=(spec,), weight_files=(RunWeights(folder),), source=folder.path)

    def write(self, path: str | Path) -> None:
        """Writes the bundle: one file where the name ends in `.segbench`, else the same members in a new folder.

        The same contents are the same bytes, whenever and wherever they are written. A folder gets a README.md, too,
        which belongs to people: it may be edited.

        Raises:
            BundleError: another suffix, a folder that has something in it, or weights that changed or are damaged.
            OSError: it cannot be written; a file that was there is as it was.
        """
        path = Path(path)
        if path.suffix == SUFFIX:
            write_zip(path, self._members)
        elif path.suffix:
            raise BundleError(f"expected a name that ends in {SUFFIX}, or one without a suffix for a folder", file=path)
        else:
            write_folder(path, self._members)
            write_text(path / README, self.readme())

    def readme(self) -> str:
        """Returns what the bundle says about itself, in Markdown; see `model_card`."""
        return model_card(self.settings, [each.name for each in self.networks], self.card, self.id)

    @property
    def id(self) -> str:
        """The SHA-256 over the members, 64 hexadecimal digits; equal for the file and the folder."""
        return members_id(self._members)

    def weights(self, index: int) -> dict[str, Tensor]:
        """Returns the tensors of a network.

        Raises:
            BundleError, RunError: they are damaged or missing.
        """
        file = self.weight_files[index]
        try:
            return tensors_of(file.read())
        except SafetensorError as error:
            told = f"holds no tensors ({error}); make the bundle again"
            raise BundleError(told, file=self.source, member=file.name) from error

    def build(self, index: int) -> SegmentationNetwork:
        """Returns a network with its weights and normalisation.

        Raises:
            BundleError, RunError: its weights are damaged, or another network's.
            ConfigError: a run's network that this segbench does not have; a bundle's is a BundleError.
        """
        file, spec = self.weight_files[index], self.networks[index]
        if isinstance(file, RunWeights):
            network = spec.build()
            load_weights(file.folder.best_file, network)
            return network
        try:
            network = spec.build()
        except (ConfigError, TypeError) as error:
            made = f"it was made by segbench {self.card.get('versions', {}).get('segbench', '(unknown)')}"
            told = f"names a network that this segbench cannot build ({error}); {made}"
            raise BundleError(told, file=self.source, member=_MODEL) from error
        tensors = self.weights(index)
        wrong = misfits(tensors, network.state_dict())
        if wrong:
            told = f"holds another network's weights: {shorten(wrong, 3)}"
            raise BundleError(told, file=self.source, member=file.name)
        network.load_state_dict(tensors)
        return network

    @cached_property
    def _members(self) -> list[Member]:
        model = {"settings": self.settings.to_dict(), "networks": [each.to_dict() for each in self.networks]}
        plain = {_MODEL: model, _CARD: dict(self.card)}
        texts = [Member.of_bytes(name, json_text(value).encode()) for name, value in plain.items()]
        weights = [
            Member(_weights_name(index), file.size, file.sha256, file.read)
            for index, file in enumerate(self.weight_files)
        ]
        return texts + weights


@dataclass(frozen=True)
class RunWeights:
    """The best weights of a run folder, as a bundle's: hashed when somebody asks for it."""

    folder: RunFolder

    @property
    def name(self) -> str:
        """Of the file."""
        return self.folder.best_file.name

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self._content())

    @cached_property
    def sha256(self) -> str:
        """Of the bytes at the time of the first question."""
        return hashlib.sha256(self._content()).hexdigest()

    def read(self) -> bytes:
        """Returns the bytes.

        Raises:
            RunError: there are none, or they are others than at the time of the first question.
        """
        content = self._content()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise RunError(f"{self.name} changed meanwhile: the run is being trained", run=self.folder.path)
        return content

    def _content(self) -> bytes:
        try:
            return self.folder.best_file.read_bytes()
        except OSError as error:
            told = f"there are no weights at {self.name} ({error.strerror}): no epoch is finished yet"
            raise RunError(f"{told}, or the file was removed", run=self.folder.path) from error


def _weights_name(index: int) -> str:
    return f"weights_{index}.safetensors"


def open_model(path: str | Path) -> ModelBundle:
    """Returns the bundle in a file or folder, or a run folder as a bundle without a card.

    Raises:
        BundleError: a bundle that is damaged or of a newer format.
        RunError: a folder that is neither bundle nor run, or no such path.
    """
    path = Path(path)
    if is_bundle(path) or path.suffix == SUFFIX:
        return ModelBundle.read(path)
    if not path.exists():
        from_hub = len(path.parts) == 2 and not path.is_absolute()
        hint = f"; a model of the Hugging Face Hub comes with `segbench pull {in_shell(path.as_posix())}`"
        raise RunError("there is no such run or bundle here" + hint * from_hub, run=path)
    return ModelBundle.of_run(path)
