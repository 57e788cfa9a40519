"""The options of smp's decoders, read from smp's source without importing it (which would import torch)."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from segbench.errors import OptionError
from segbench.options import Count, Probability

LIBRARY = "segmentation_models_pytorch"

# smp's name -> ours, where it is another.
NAMES = {
    "encoder_name": "encoder",
    "encoder_output_stride": "output_stride",
    "decoder_aspp_dropout": "aspp_dropout",
    "decoder_atrous_rates": "atrous_rates",
    "decoder_attention_type": "attention",
    "decoder_dropout": "dropout",
    "decoder_fusion_channels": "decoder_channels",
    "decoder_intermediate_channels": "reassemble_channels",
    "decoder_merge_policy": "merge",
    "decoder_pyramid_channels": "pyramid_channels",
    "decoder_readout": "readout",
    "decoder_segmentation_channels": "decoder_channels",
    "psp_dropout": "dropout",
    "psp_out_channels": "decoder_channels",
}
# Arguments of smp's classes that the network itself decides.
NO_OPTIONS = frozenset({"encoder_weights", "in_channels", "classes", "activation", "aux_params", "upsampling"})
# What an option may be where smp's annotation only says `str` or `int`, or allows what does not work: smp's `layernorm`
# normalises another axis than channels, its `instancenorm` needs `{type: instancenorm, affine: true}`, its `inplace` a
# package of its own.
TYPES: dict[str, Any] = {
    "attention": Literal["none", "scse"],
    "decoder_interpolation": Literal["nearest", "bilinear", "bicubic", "area", "nearest-exact"],
    "decoder_use_norm": bool | Literal["batchnorm", "identity"] | dict[str, Any],
    "encoder_depth": Literal[3, 4, 5],
    "merge": Literal["add", "cat"],
    "readout": Literal["cat", "add", "ignore"],
}


def read_parameters(folder: str, library_name: str) -> list[inspect.Parameter]:
    """Returns what smp's class in `decoders/<folder>/model.py` is built with, annotations as types.

    Raises:
        ModuleNotFoundError: smp is not installed, or has no such class there.
    """
    spec = importlib.util.find_spec(LIBRARY)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{LIBRARY} is not installed; networks smp/... need it")
    file = Path(spec.origin).parent / "decoders" / folder / "model.py"
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    for definition in tree.body:
        if isinstance(definition, ast.ClassDef) and definition.name == library_name:
            for method in definition.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    return [_parameter(*pair) for pair in zip(method.args.args[1:], method.args.defaults, strict=True)]
    raise ModuleNotFoundError(f"{LIBRARY} has no {library_name} in {file}; install the version segbench names")


def _parameter(argument: ast.arg, default: ast.expr) -> inspect.Parameter:
    def declared() -> None: ...

    declared.__annotations__ = {"hint": ast.unparse(argument.annotation) if argument.annotation else "Any"}
    try:
        hint = get_type_hints(declared, globalns=vars(typing))["hint"]
    except NameError:
        hint = Any  # a type that smp imports from elsewhere
    return inspect.Parameter(
        argument.arg, inspect.Parameter.KEYWORD_ONLY, default=ast.literal_eval(default), annotation=hint
    )


def is_sequence(hint: Any) -> bool:
    """Tells whether an option is a list of counts."""
    return any(get_origin(part) in (Sequence, Iterable, list) for part in _parts(hint))


def option_type(name: str, hint: Any) -> Any:
    """Returns the type of an option of ours, from what smp declares: counts are above 0, dropouts below 1."""
    if is_sequence(hint):
        return Sequence[Count] | None
    if hint is float and name.endswith("dropout"):
        return Probability
    return Count if hint is int else hint


def check_channels(name: str, value: Sequence[int] | None, count: int, *, default: Sequence[int]) -> tuple[int, ...]:
    """Returns `count` channel counts; None means the last `count` of `default`."""
    if value is None:
        return tuple(default[-count:])
    if len(value) != count:
        message = f"{name} must be a list of {count} channel counts, from coarse to fine, got {value!r}"
        raise OptionError(message, option=name)
    return tuple(value)


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
