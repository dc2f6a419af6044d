"""How Sphinx makes the site; ``scripts/docs`` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from streamq import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "streamq"
copyright = "the streamq authors"
release = version = __version__

extensions = [
    "command_help",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_typehints = "signature"
autodoc_type_aliases = {"Jobs": "Jobs", "OneJob": "OneJob"}
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "streamq"
html_copy_source = False
copybutton_exclude = ".linenos, .gp"
