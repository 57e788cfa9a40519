"""One class for all networks of segmentation-models-pytorch: built, tried out without computing, and padded to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import segmentation_models_pytorch as smp  # type: ignore[import-untyped]  # has no type information
import torch
from segmentation_models_pytorch.encoders.timm_vit import TimmViTEncoder  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.func import functional_call

from segbench.errors import OptionError
from segbench.models.base import MIN_SIZE_PX, SegmentationNetwork
from segbench.models.smp import encoders
from segbench.models.smp.decoder import Decoder
from segbench.types import WeightsOrigin

_ONE_PIXEL = "more than 1 value per channel"  # what torch's batch normalisation says of one value a channel
# What a network was built of -> its smallest training batch and what it does not use: the next one is not tried out.
_tried: dict[str, tuple[int, tuple[str, ...]]] = {}


class SmpNetwork(SegmentationNetwork):
    """A network of segmentation-models-pytorch; its state dict is smp's (`encoder.`, `decoder.`, `segmentation_head.`).

    It differs from smp's in three things. Any H x W works. Layers that the network never uses are removed, so that the
    number of parameters is that of the network: the encoder's later stages where a smaller `encoder_depth` leaves them
    out, a vision transformer's classifier; `unused_prefixes` names them. And there is dropout of whole channels (2d)
    in front of the segmentation head.

    Building tries the network out on tensors without contents: that costs about 0.2 s, once a process and network, and
    shows which encoders a decoder cannot take, and whether a batch of 1 can train.

    Args:
        decoder: row of `DECODERS`.
        encoder: name of one of smp's encoders, or `tu-` and a name of timm's.
        in_channels: channels of the image. Other than 3: the libraries adapt the first convolution.
        out_channels: logits a pixel.
        weights: `none`, or published weights of the encoder: `imagenet`, for some others, too.
        dropout: probability that a channel is zeroed in front of the head; None leaves it to `options`.
        options: of smp's class.
    Raises:
        OptionError: an encoder that is unknown or does not fit the decoder, or weights it does not have.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        encoder: str,
        in_channels: int,
        out_channels: int,
        weights: str,
        dropout: float | None = None,
        options: Mapping[str, Any],
    ) -> None:
        self.encoder_name = encoders.check_encoder(encoder)
        self.weights = encoders.check_weights(self.encoder_name, weights)
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            stride=32,  # until the encoder is known
            normalization=encoders.encoder_normalization(self.encoder_name, weights, in_channels),
        )
        self.architecture = decoder.name
        self.dropout = nn.Dropout2d(dropout) if dropout is not None else nn.Identity()
        self._encoder_options = {
            "in_channels": in_channels,
            **{key: options[f"encoder_{key}"] for key in ("depth", "output_stride") if f"encoder_{key}" in options},
            **encoders.library_options(self.encoder_name),
        }
        try:
            self._build(decoder, options)
            self._fit(repr((decoder, self.encoder_name, in_channels, out_channels, sorted(options.items()))))
        except Exception as error:  # the libraries refuse a combination with any exception; all are re-raised
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            message = f"encoder {encoder!r} does not work in smp/{decoder.name} ({reason}); take {decoder.fits}"
            raise OptionError(message, option="encoder") from error

    def _build(self, kind: Decoder, options: Mapping[str, Any]) -> None:
        with encoders.quiet():
            network = getattr(smp, kind.library_name)(
                encoder_name=self.encoder_name,
                encoder_weights=None,
                in_channels=self.in_channels,
                classes=self.out_channels,
                **encoders.library_options(self.encoder_name),
                **options,
            )
        self.encoder: nn.Module = network.encoder
        self.decoder: nn.Module = network.decoder
        self.segmentation_head: nn.Module = network.segmentation_head
        self.stride = kind.stride or int(network.encoder.output_stride)
        self.smallest_px = kind.coarsest_px * self.stride

    def _fit(self, parts: str) -> None:
        """Finds the smallest training batch and removes what has no gradient.

        Args:
            parts: what the network was built of; two of the same need one trial.
        Raises:
            Exception: whatever the libraries raise where encoder and decoder do not fit.
        """
        if parts in _tried:
            self.smallest_training_batch, self.unused_prefixes = _tried[parts]
            for prefix in self.unused_prefixes:
                _replace(self, prefix.removesuffix("."))
            return
        unused = self._trial()
        if unused:
            self.unused_prefixes = _remove(self, unused)
            self._trial()
        _tried[parts] = self.smallest_training_batch, self.unused_prefixes

    def _trial(self) -> list[str]:
        """Returns the names of the parameters that a training step leaves without a gradient."""
        while True:
            try:
                try:
                    return _parameters_without_gradient(self, "meta")
                except (
                    RuntimeError,
                    NotImplementedError,
                ):  # some layers keep tensors that are neither parameter nor buffer
                    return _parameters_without_gradient(self, "cpu")
            except ValueError as error:
                if _ONE_PIXEL not in str(error) or self.smallest_training_batch > 1:
                    raise
                self.smallest_training_batch = 2

    def compute_logits(self, image: Tensor) -> Tensor:
        """Returns logits of the size of `image`, whose H and W are multiples of `stride`."""
        features = self.encoder(image)
        # DPT's encoder gives maps and the tokens in front of them; all others a list of maps.
        decoded = self.decoder(*features) if self.architecture == "dpt" else self.decoder(features)
        logits: Tensor = self.segmentation_head(self.dropout(decoded))
        return logits

    def load_pretrained(self) -> WeightsOrigin:
        """Loads the encoder's published weights through the library's loader; the rest stays random.

        Raises:
            WeightsError: they are not on this machine and cannot be fetched, or the file there is another network's.
        """
        return encoders.load_encoder(self.encoder, self.encoder_name, self.weights, self._pretrained_encoder)

    def _pretrained_encoder(self, tensors: dict[str, Tensor] | None) -> nn.Module:
        """Returns the library's encoder with its published weights, see `encoders.pretrained_encoder`."""
        if self.architecture == "dpt" and tensors is None:
            name = self.encoder_name.removeprefix(encoders.TIMM_PREFIX)
            vit: nn.Module = TimmViTEncoder(name=name, pretrained=True, **self._encoder_options)
            return vit
        return encoders.pretrained_encoder(self.encoder_name, tensors, self._encoder_options)


def _parameters_without_gradient(network: SegmentationNetwork, device: str) -> list[str]:
    """Returns the parameters that one training step leaves without a gradient; the network itself stays untouched.

    Args:
        network: in training mode.
        device: `meta` computes shapes only; `cpu` computes, on copies.
    Raises:
        ValueError: the logits have another size than the image.
    """
    height = -(-max(network.smallest_px, MIN_SIZE_PX) // network.stride) * network.stride
    image = torch.zeros(
        network.smallest_training_batch, network.in_channels, height, height + network.stride, device=device
    )
    parameters = {
        name: parameter.detach().to(device, copy=True).requires_grad_()
        for name, parameter in network.named_parameters()
    }
    buffers = {name: buffer.to(device, copy=True) for name, buffer in network.named_buffers()}
    with torch.random.fork_rng(devices=[]), encoders.quiet():
        logits = functional_call(network, {**parameters, **buffers}, (image,))
        expected = (len(image), network.out_channels, *image.shape[2:])
        if tuple(logits.shape) != expected:
            raise ValueError(f"logits are {tuple(logits.shape)}, expected {expected}")
        logits.sum().backward()
    return [name for name, parameter in parameters.items() if parameter.grad is None]


def _remove(network: nn.Module, unused: Sequence[str]) -> tuple[str, ...]:
    """Replaces the outermost modules that only hold unused parameters by identities; returns their names with a dot."""
    names = set(unused)
    removed: list[str] = []
    for name, module in list(network.named_modules()):
        if name.startswith(tuple(removed)):
            continue
        own = {f"{name}.{parameter}" for parameter, _ in module.named_parameters()}
        if own and own <= names:
            _replace(network, name)
            removed.append(f"{name}.")
    return tuple(removed)


def _replace(network: nn.Module, name: str) -> None:
    """Puts an identity in the place of a module."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
