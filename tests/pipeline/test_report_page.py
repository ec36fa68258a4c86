"""The report page, Snakemake's own report, and the alignment matrix, on a finished run."""

import os
import zipfile

import browser
import pandas as pd
import pytest

ROOT = "results/seconds"


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_holds_every_experiment_figure_and_claim_and_names_what_was_left_out(finished):
    file = finished / f"{ROOT}/report.html"
    text = file.read_text()
    assert file.stat().st_size < 3e6
    experiments, preset = finished.config("experiments")["experiments"], finished.config("seconds")
    for name, entry in experiments.items():
        assert (f'<h2 id="{name}">' in text) == (name in preset["experiments"])
        for figure in entry["figures"]:
            assert (f'<figure id="{figure}">' in text) == (name in preset["experiments"])
    left_out = [name for name in experiments if name not in preset["experiments"]]
    assert f"<dd>{', '.join(left_out)}</dd>" in text
    for claim in pd.read_csv(finished / f"{ROOT}/claims.csv")["claim"]:
        assert f'<tr role="row" id="{claim}"' in text
    assert "snakemake --configfile config/seconds.yaml --cores 2 --force results/seconds/figures/fig1.png" in text
    assert str(finished.folder) not in text and finished.manifests()[0]["host"] not in text.split()


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium: Debian's package chromium has it")
def test_a_browser_shows_the_page_of_a_run(finished, tmp_path):
    file = finished / f"{ROOT}/report.html"
    with browser.chromium(tmp_path) as page:
        for width, dark in ((1280, False), (390, True)):
            browser.assert_sound(page.open(file, width, dark), file)


def test_snakemakes_own_report_has_items_and_captions_without_a_network(rerun, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    rerun.run(preset="seconds", options=["--report", str(tmp_path / "report.zip")])
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = {os.path.basename(name) for name in archive.namelist()}
        page = archive.read("report/report.html").decode()
    assert {"claims.csv", "report.html", "table2.csv", "table6.csv"} <= names
    assert {f"fig{n}.png" for n in (1, 2, 6, 8, 9, 10, *range(11, 19))} <= names
    assert {f"{name}_training.png" for name in ("pass", "transfer", "protein_conditional")} <= names
    assert "preset seconds" in page
    for words in (
        "Hollow markers:",
        "has no biological meaning",
        "p corrected",
        "It is at least 1 by construction",
        "Nothing is smoothed",
    ):
        assert words in page


# --- the alignment matrix --------------------------------------------------------------------------------------------


def test_the_alignment_matrix_is_measured_and_drawn_from_runs_that_are_there(rerun):
    """With no other budgets N than those of Table 2 nothing is trained."""
    experiments = rerun.config("experiments")
    experiments["experiments"]["alignment_matrix"]["objectives"] = ["ce", "pass_n4", "pass_n16", "pass_n64"]
    rerun.write_config("experiments", experiments)
    preset = rerun.config("seconds")
    rerun.write_config("seconds", preset | {"experiments": preset["experiments"] | {"alignment_matrix": {"k": [1, 4]}}})
    new = dict.fromkeys(("measure", "pass_rates", "table", "alignment_matrix"), 1) | {"figure": 3}
    assert rerun.plan("alignment_matrix", preset="seconds") == new
    rerun.run("alignment_matrix", preset="seconds", options=["--quiet", "rules", "reason"])
    gains, table2 = (
        pd.read_csv(rerun / f"{ROOT}/tables/{name}.csv").set_index(["arm", "metric", "k"])["difference"]
        for name in ("gain_table", "table2")
    )
    for arm in ("pass_n4", "pass_n64"):
        assert gains[arm, "pass", 4] == pytest.approx(table2[arm, "pass", 4], abs=1e-3)
    for figure in ("gain_matrix", "pass_rate_profile", "alignment_gain"):
        assert (rerun / f"{ROOT}/figures/{figure}.png").read_bytes().startswith(b"\x89PNG")
