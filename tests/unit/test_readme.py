"""The README shows what the reference holds, and names what exists."""

import re
import sys

import pandas as pd
import yaml
from conftest import REPO

from compute_aligned.presentation.claims_table import claims_table
from compute_aligned.presentation.claims_table import main as claims_main
from compute_aligned.presentation.figures.matrix import matrix

README = (REPO / "README.md").read_text()


def test_the_claims_are_those_of_the_reference():
    shown = re.search(r"<!-- claims -->\n(.*?)\n<!-- end of claims -->", README, flags=re.DOTALL).group(1)
    # Read as it is: a reference keeps the columns and the words for verdicts of the version that made it.
    assert shown == claims_table(pd.read_csv(REPO / "results/reference/tiny/claims.csv"))


def test_a_root_hash_that_it_prints_is_the_references(monkeypatch, capsys):
    stored = pd.read_csv(REPO / "results/reference/tiny/root_hashes.csv").set_index("file")["root_hash"]
    assert set(re.findall(r"\b[0-9a-f]{64}\b", README)) <= {stored["claims.csv"]}
    monkeypatch.setattr(sys, "argv", ["claims", str(REPO / "results/reference/tiny/claims.csv")])
    claims_main()
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == f"Root hash of these verdicts and all that led to them: `{stored['claims.csv']}`"
    )


def test_the_caption_stands_under_the_picture_of_the_reference():
    entry = yaml.safe_load((REPO / "config/experiments.yaml").read_text())["experiments"]["alignment_matrix"]
    summary = pd.read_csv(REPO / "results/reference/tiny/metrics/alignment_matrix.summary.csv")
    _, caption = matrix(summary, entry["title"], "tiny", "test")
    assert re.search(rf"gain_matrix\.png\"[^>]*>\n\n<sub>{re.escape(caption)}</sub>\n", README), caption


def test_every_file_that_it_links_to_or_shows_exists():
    links = re.findall(r'(?:\]\(|src=")([^)"#]+)', README)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) > 5
    assert [link for link in local if not (REPO / link).exists()] == []


def test_every_code_file_in_its_table_exists():
    named = re.findall(r"`([a-z_]+\.(?:py|yaml|csv))`", README)
    files = {path.name for folder in ("workflow", "config") for path in (REPO / folder).rglob("*") if path.is_file()}
    assert len(named) > 10
    assert [name for name in named if name not in files] == []
