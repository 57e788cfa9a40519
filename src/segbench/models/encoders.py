"""Which encoders the `smp/...` networks take, by name; asks the libraries, which takes seconds."""

from __future__ import annotations


def encoder_names(word: str = "") -> list[str]:
    """Returns the encoders' names that contain `word`: segmentation_models.pytorch's own, then timm's as `tu-NAME`.

    Some of timm's give no feature maps; a network that is built with one says so.
    """
    import segmentation_models_pytorch as smp  # type: ignore[import-untyped]
    import timm

    own = sorted(name for name in smp.encoders.get_encoder_names() if not name.startswith("tu-"))
    universal = [f"tu-{name}" for name in timm.list_models()]
    return [name for name in [*own, *universal] if word.lower() in name.lower()]
