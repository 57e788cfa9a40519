"""How the site is built: `make docs`, and docs/decisions/0021 for why it is made so."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx_gallery.sorting import FileNameSortKey

import segbench

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "segbench"
author = "segbench maintainers"
copyright = "segbench maintainers, MIT licence"  # noqa: A001 - Sphinx reads this name
version = release = segbench.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    # Of this folder:
    "accessible",
    "generated",
    "languages",
    "mathml",
    "repository",
]
exclude_patterns = ["_build", "locale", "course/*.py", "course/GALLERY_HEADER.rst", "**/sg_execution_times.rst"]
suppress_warnings = ["config.cache"]  # sphinx_gallery_conf holds a class

# Text
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 4  # the anchors that repositories show
html_math_renderer = "mathml"
copybutton_exclude = ".linenos, .gp, .go"

# Reference
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Course: every lesson is run, and one that fails fails the build.
sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "src/segbench/course/lessons")],
    "gallery_dirs": ["course"],
    "filename_pattern": r"/lesson_",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": FileNameSortKey,
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": True,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
    "image_srcset": [],
    "min_reported_time": 1e9,  # times differ from build to build
    "write_computation_times": False,
}

# Languages: texts in English, translations in locale/.
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
gettext_location = False
gettext_additional_targets = ["raw"]  # a page that is embedded has a translation of its own

# Pages
html_theme = "furo"
html_title = "segbench"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
smartquotes = False  # `--option` is no dash
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
