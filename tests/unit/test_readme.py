"""README.md and docs/claims.md show what the reference holds, and what the commands print."""

import importlib.util
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import REPO

from compute_aligned.config.files import read_preset
from compute_aligned.presentation.claims_table import claims_table
from compute_aligned.presentation.claims_table import main as claims_main
from compute_aligned.presentation.figures.matrix import matrix
from compute_aligned.presentation.terminal import describe_claims, describe_results
from compute_aligned.presentation.trace import command as audit

SPEC = importlib.util.spec_from_file_location("renew", REPO / "docs/renew.py")
renew = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(renew)

README = (REPO / "README.md").read_text()
CLAIMS_PAGE = (REPO / "docs/claims.md").read_text()
REFERENCES = REPO / "results/reference"
VERDICTS = ["reproduced", "contradicted", "inconclusive", "not tested here"]


@pytest.fixture(scope="module")
def claims():
    # Read as it is: a reference keeps the columns and the words for verdicts of the version that made it.
    return pd.read_csv(REFERENCES / renew.MAIN / "claims.csv")


def marked(page):
    return re.search(r"<!-- claims -->\n(.*?)\n<!-- end of claims -->", page, flags=re.DOTALL).group(1)


def printed_under(heading):
    """The lines of the block of output under one of the README's uses, but for what it leaves out."""
    block = re.search(rf"\*\*{re.escape(heading)}\*\*.*?```text\n(.*?)```", README, flags=re.DOTALL).group(1)
    return [line.removesuffix("…").rstrip() for line in block.splitlines() if line != "..."]


def test_the_tables_are_those_of_the_references(claims):
    assert renew.renewed_claims_page(CLAIMS_PAGE) == CLAIMS_PAGE
    assert marked(CLAIMS_PAGE) == claims_table(claims)
    assert renew.renewed_readme(README) == README
    worn = README.replace("| 20 |", "| 3 |").replace("**reproduced**", "**inconclusive**")
    assert worn != README and renew.renewed_readme(worn) == README


def test_references_stand_side_by_side(monkeypatch, capsys, tmp_path, claims):
    (tmp_path / "other").mkdir()
    some = claims[claims["claim"].isin(["C03", "C12", "C30"])].assign(seeds=1.0)
    some.loc[some["claim"] == "C12", ["effect", "low", "high"]] = float("nan")  # not measured
    some.to_csv(tmp_path / "other/claims.csv", index=False)
    monkeypatch.setattr(
        sys, "argv", ["claims", str(REFERENCES / renew.MAIN / "claims.csv"), str(tmp_path / "other/claims.csv")]
    )
    claims_main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | claim | paper | tiny20, 20 seeds | other, 1 seed |" and len(lines) == 2 + len(claims)
    (third,) = (line for line in lines if line.startswith("| C03 |"))
    *_, here, there = third.removesuffix(" |").split(" | ")
    assert here == there and here.endswith("points<br>**reproduced**")
    assert sum(line.endswith(" | – |") for line in lines) == len(claims) - 2


def test_the_claims_of_the_readme_are_five_rows_of_it(claims):
    rows = marked(README).splitlines()
    assert len(rows) == 2 + 5
    assert set(rows) <= set(claims_table(claims).splitlines())


def test_the_verdicts_of_each_reference_are_counted(claims):
    counted = re.findall(r"^\| \[`results/reference/(\w+)`\]([^|]+) \| (.*) \|$", README, flags=re.MULTILINE)
    assert [name for name, *_ in counted] == list(renew.references())
    for name, links, cells in counted:
        tables = sorted(file.parent for file in REFERENCES.glob(f"{name}_table*/claims.csv"))  # run by themselves
        assert re.findall(r"results/reference/(\w+)", links) == [folder.name for folder in (REFERENCES / name, *tables)]
        rows = pd.concat(pd.read_csv(folder / "claims.csv") for folder in (REFERENCES / name, *tables))
        of_reference = rows.sort_values("effect", key=pd.isna, kind="stable").drop_duplicates("claim")
        counts = [(of_reference["verdict"] == verdict).sum() for verdict in VERDICTS]
        assert cells == " | ".join(map(str, [int(of_reference["seeds"].max()), *counts]))
        assert sum(counts) == len(of_reference)
    assert f"The 30 claims are {len(claims)} statements." in README


@pytest.mark.parametrize("page", ["README.md", "docs/claims.md", "docs/tutorial.md"])
def test_every_interval_is_one_of_a_reference(page, claims):
    tables = [file.read_text() for file in REFERENCES.glob("*/tables/*.md")]
    interval = re.compile(r"[-+]?\d+(?:\.\d+)? \[[-+\d., ]+\]")
    pages = [renew.side_by_side(renew.references()), *tables]
    known = {found for text in pages for found in interval.findall(text)}
    shown = interval.findall((REPO / page).read_text().replace("−", "-"))
    assert len(shown) > 5
    assert set(shown) <= known, set(shown) - known


def test_what_the_matrix_is_said_to_show():
    summary = pd.read_csv(REFERENCES / renew.MAIN / "metrics/alignment_matrix.summary.csv")
    gains = 100 * summary[summary["metric"] == "pass"].pivot(index="arm", columns="k", values="difference")
    prices = -gains.loc["pass_n64", [1, 2, 4, 8]]
    assert f"costs {prices.min():.0f} to {prices.max():.0f} points up to 8." in README
    best = [0 if name == "ce" else int(name.removeprefix("pass_n")) for name in gains.idxmax()]
    assert best[:3] == [0, 0, 0]
    method = (REPO / "docs/method.md").read_text().replace("\n", " ")
    assert "up to k = 4, then Pass@{}, {}, {} and {} at k = 8, 16, 32 and 64".format(*best[3:]) in method
    assert f"(Pass@64 at k = 4: −{prices[4]:.1f} points)" in method
    caption = (REFERENCES / renew.MAIN / "figures/alignment_gain.caption.md").read_text()
    assert re.search(r"rank correlation is (\S+)\. ", method)[1] == re.search(r"rank correlation (\S+)\. ", caption)[1]


def test_a_root_hash_that_it_prints_is_the_references(monkeypatch, capsys):
    stored = pd.read_csv(REFERENCES / renew.MAIN / "root_hashes.csv").set_index("file")["root_hash"]
    others = pd.read_csv(REFERENCES / "tiny/root_hashes.csv")["root_hash"]  # of the audit shown
    assert set(re.findall(r"\b[0-9a-f]{64}\b", README)) <= {*stored, *others}
    monkeypatch.setattr(sys, "argv", ["claims", str(REFERENCES / renew.MAIN / "claims.csv")])
    claims_main()
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == f"Root hash of these verdicts and all that led to them: `{stored['claims.csv']}`"
    )


def test_the_caption_stands_under_the_picture_of_the_reference():
    entry = yaml.safe_load((REPO / "config/experiments.yaml").read_text())["experiments"]["alignment_matrix"]
    summary = pd.read_csv(REFERENCES / renew.MAIN / "metrics/alignment_matrix.summary.csv")
    _, caption = matrix(summary, entry["title"], renew.MAIN, "test")
    assert re.search(rf"gain_matrix\.png\"[^>]*>\n\n<sub>{re.escape(caption)}</sub>\n", README), caption


def test_a_run_ends_as_shown():
    said = describe_results(read_preset(REPO / "config/tiny.yaml"), REFERENCES / "tiny")
    judged = pd.read_csv(REFERENCES / "tiny/claims.csv")
    said += f"\n{describe_claims(judged, Path('results/tiny/report.html'))}"
    assert set(printed_under("1. On a laptop.")) <= set(said.splitlines())


def test_an_audit_says_what_is_shown(monkeypatch, capsys):
    command = re.search(r"^python -m compute_aligned audit (.*)$", README, flags=re.MULTILINE).group(1)
    monkeypatch.chdir(REPO)
    monkeypatch.setattr(sys, "argv", ["audit", *command.split()])
    audit.main()
    said = capsys.readouterr().out.splitlines()
    for shown in printed_under("4. An audit."):
        assert any(line.startswith(shown) for line in said), shown


def test_every_code_file_in_its_table_exists():
    named = re.findall(r"`([a-z_]+\.(?:py|yaml|csv))`", README)
    files = {path.name for folder in ("workflow", "config") for path in (REPO / folder).rglob("*") if path.is_file()}
    assert len(named) > 10
    assert [name for name in named if name not in files] == []
