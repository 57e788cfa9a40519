"""Lightning's Fabric, imported without torchmetrics.

Fabric only asks which version of torchmetrics is installed, and imports all of it to know, with torchvision, scipy and
torch's compiler behind it: 3.7 of the 6.4 CPU seconds that a training needed to start (lightning-fabric 2.6.6). An
empty module in its place gives the same answer, since the version is then read from the installed package.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _stand_in(name: str) -> Iterator[None]:
    """Lets an installed module be imported inside the block as an empty one, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


with _stand_in("torchmetrics"):
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins.precision import MixedPrecision as MixedPrecision
    from lightning_fabric.wrappers import _FabricOptimizer

FabricOptimizer = _FabricOptimizer
