"""How Sphinx makes a site of these pages, which read as files, too: `make docs`."""

import re

from pygments.lexers.python import PythonLexer
from sphinx.highlighting import lexers

import compute_aligned

project = "Compute Aligned Training, reproduced"
release = compute_aligned.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 3  # as GitHub names them
highlight_language = "text"
lexers["snakemake"] = PythonLexer()

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
smartquotes = False  # of S'(p), too

autodoc_member_order = "bysource"
default_role = "code"

PAGES = re.compile(r"^## (.+)\n\n((?:- .+\n)+)", flags=re.MULTILINE)
DOCSTRINGS = re.compile(r"<!-- (auto\w+) (\S+) -->")


def add_what_files_do_not_show(app, name, source):
    """Navigation, from the lists of the index; docstrings, where a page has a comment that names a module or class."""
    if name == "index":
        for heading, pages in PAGES.findall(source[0]):
            names = re.findall(r"\]\((\w+)\.md\)", pages)
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {heading}", "", *names, "```\n"])
    source[0] = DOCSTRINGS.sub(r"```{eval-rst}\n.. \1:: \2\n   :members:\n```", source[0])


def setup(app):
    app.connect("source-read", add_what_files_do_not_show)
