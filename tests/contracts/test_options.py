"""What every option of every network, loss and format promises: its annotation is its schema, read without torch."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from segbench.data.formats import FORMATS
from segbench.errors import ConfigError
from segbench.losses import LOSSES
from segbench.models import MODELS
from segbench.options import OptionType, option_types
from segbench.registry import Registry

TABLES = {"network": MODELS, "loss": LOSSES, "data.format": FORMATS}
EVERY = [pytest.param(table, name, id=f"{key}:{name}") for key, table in TABLES.items() for name in table.names()]


@pytest.mark.parametrize(("table", "name"), EVERY)
def test_every_option_has_a_type_and_a_wrong_value_is_refused_by_key(table: Registry, name: str) -> None:
    assert list(table.option_types(name)) == table.options(name)
    for option in table.options(name):
        with pytest.raises(ConfigError, match=rf"{option} must be .*, got <object") as caught:
            table.check(name, {option: object()})
        assert caught.value.key == table.key_of(name, option)


@pytest.mark.parametrize(("table", "name"), EVERY)
def test_defaults_are_of_the_declared_type(table: Registry, name: str) -> None:
    hints = table.option_types(name)
    for parameter in inspect.signature(table.get(name)).parameters.values():
        if parameter.name in hints:
            OptionType(hints[parameter.name]).check(parameter.name, parameter.default)


@pytest.mark.parametrize(("table", "name"), EVERY)
def test_the_source_says_what_the_builder_itself_says(table: Registry, name: str) -> None:
    """A registered string is read from the source, a user's own builder from its signature; both must agree."""
    assert repr(table.option_types(name)) == repr(option_types(table.get(name)))


@pytest.mark.slow
def test_all_that_is_known_without_torch() -> None:
    code = (
        "import sys\n"
        "from segbench.data.formats import FORMATS\nfrom segbench.errors import ConfigError\n"
        "from segbench.losses import LOSSES\nfrom segbench.models import MODELS\n"
        "refused = 0\n"
        "for table in (FORMATS, LOSSES, MODELS):\n"
        "    for name in table.names():\n"
        "        for option in table.options(name):\n"
        "            try:\n                table.check(name, {option: object()})\n"
        "            except ConfigError:\n                refused += 1\n"
        "print(refused)\nassert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(len(table.options(name)) for table in TABLES.values() for name in table.names())
