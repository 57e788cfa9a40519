"""Templates of the pages -> HTML: every text in it is escaped."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape


def render(template: str, **values: object) -> str:
    """Returns a template of `segbench.report` filled in; a value that it asks for and does not get is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("segbench.report"),
        autoescape=select_autoescape(default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(plain: str) -> Markup:
    """Returns escaped text whose long names may break after an underscore."""
    return Markup(re.sub(r"_(?=\w)", "_<wbr>", str(escape(plain))))  # escaped right here
