"""What a benchmark has to say about where it ran."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from segbench.predict.device import describe_processor


def machine_line() -> str:
    """Returns processor, threads and versions in one line."""
    return (
        f"{describe_processor()}, {torch.get_num_threads()} thread(s), {platform.system()}, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )
