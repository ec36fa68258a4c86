"""The pages lead somewhere, all of them are in the index, and the page of commands leaves none out."""

import re

import pytest
import yaml
from conftest import REPO

from compute_aligned.__main__ import COMMANDS

PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")


def prose(page):
    """A page without its code."""
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(page):
    return [link or picture for link, picture in LINK.findall(prose(page)) if not link.startswith("http")]


def anchors(page):
    """The names that GitHub, and the site, give to a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_links_are_found():
    assert sum(len(links(page)) for page in PAGES) > 80


def test_pages_of_the_site_link_to_no_other_file():
    for page in PAGES[2:]:
        assert [link for link in links(page) if link.startswith("../") and not link.endswith(".png")] == []


def test_the_index_lists_every_page_once():
    listed = re.findall(r"^- \[.+\]\((\w+\.md)\): ", (REPO / "docs/index.md").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in PAGES[2:] if page.name != "index.md")


def test_the_page_of_commands_names_each_of_them():
    page = (REPO / "docs/commands.md").read_text()
    makefile = (REPO / "Makefile").read_text()
    targets = [f"`{name}`" for name in re.findall(r"^([a-z-]+):.*##", makefile, flags=re.MULTILINE)]
    rules = (REPO / "workflow/rules/provenance.smk").read_text()
    targets += [f"`{name}`" for name in re.findall(r"^rule (\w+):", rules, flags=re.MULTILINE)]
    targets += [f"`{name}`" for name in yaml.safe_load((REPO / "config/experiments.yaml").read_text())["experiments"]]
    targets += [f"| `{name}" for name in COMMANDS]
    assert [name for name in targets if name not in page] == []
