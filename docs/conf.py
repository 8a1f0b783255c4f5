"""The documentation site: ``sphinx-build -W -b html docs OUT``. It needs no network and runs every example."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_site"))
os.environ["MATPLOTLIBRC"] = str(HERE / "_site" / "matplotlibrc")  # of the kernels that run the pages

project = "chainrule"
author = "the chainrule contributors"
copyright = "the chainrule contributors. Apache License 2.0"
html_title = "chainrule"

extensions = ["myst_nb", "sphinx.ext.autodoc", "gallery", "lecture_rows", "mathml", "plain_docstrings"]
exclude_patterns = ["lectures/README.md", "_site", "_build", "conftest.py"]
templates_path: list[str] = []

html_theme = "furo"
html_static_path = ["_site/static"]
html_css_files = ["chainrule.css"]
html_copy_source = html_show_sphinx = html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # every page runs, whatever a cache may remember
nb_execution_timeout = 600  # seconds a cell, on a busy machine
nb_execution_show_tb = True  # a page that fails is a warning, and warnings are errors
nb_output_stderr = "warn"
nb_merge_streams = True
