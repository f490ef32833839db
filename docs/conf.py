"""How Sphinx builds the documentation: `make docs-site` writes it to build/site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import foveal

project = "foveal"
author = "the foveal developers"
project_copyright = "the foveal developers, Apache-2.0"
version = release = foveal.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated",
]
exclude_patterns = ["_ext"]
nitpicky = True
# No inventories of other projects: the site is built without a network.
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|np|npt|os|pathlib|collections|datetime|PIL|pydantic|typing|torch)\..*"),
    (
        "py:.*",
        r"NDArray|(PIL)?Image\.Image|Path(Like)?|PictureLike|Recipe|StoreFiles|Measure|Link",
    ),
    ("py:.*", r"ReviewSession"),
    # Types of attributes that are not part of the public interface.
    ("py:.*", r"foveal\..*"),
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
# A link that leads nowhere, inside or between pages, is a warning, and warnings fail the build.
myst_url_schemes = ["https", "mailto"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# `single backticks` in docstrings are code.
default_role = "code"
# `--epochs` in help texts stays as it is typed.
smartquotes = False
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = "foveal"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_logo": "mark.svg",
    "dark_logo": "mark.svg",
    "light_css_variables": {"color-brand-primary": "#0f766e", "color-brand-content": "#0f766e"},
    "dark_css_variables": {"color-brand-primary": "#5cc9bb", "color-brand-content": "#5cc9bb"},
}
