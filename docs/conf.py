"""The manual: ``make docs`` builds it into ``build/docs``."""

import importlib.util
import logging
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from structure_pages import write_compounds, write_table

from hoomd_gala import __version__

project = "hoomd-gala"
author = "the hoomd-gala developers"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]

# pages

exclude_patterns = ["_generated"]
myst_enable_extensions = ["dollarmath"]
# headings can be linked to, as on the web page of the repository
myst_heading_anchors = 4
# tutorials are run as a reader would run them, in an empty folder each
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
logging.getLogger("traitlets").setLevel(logging.WARNING)  # or each tutorial is announced
copybutton_prompt_text = "$ "

# API reference

# engines need not be installed: then signatures alone are shown
autodoc_mock_imports = [
    name
    for name in ("hoomd", "mpi4py", "openmm", "ovito", "traits")
    if importlib.util.find_spec(name) is None
]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings have shapes and units as well
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
nitpicky = True
# what other packages have is not linked to, as manuals are built without a network
nitpick_ignore_regex = [(r"py:.*", r"(?!hoomd_gala).*")]

# looks

html_theme = "furo"
html_title = f"hoomd-gala {__version__}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_copyright = False


def skip_fields(app, what, name, obj, skip, options):
    """Leave out fields of named tuples, which the docstring of their class describes."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    """Make what pages include, before they are read."""
    write_table(HERE / "_generated")
    write_compounds(HERE / "_generated")
    app.connect("autodoc-skip-member", skip_fields)
