"""The whole way from nothing to table and figure, at a size of seconds."""

import itertools
import math
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from planning import runs_of, warmups_of

from compute_aligned.provenance.manifests import load_manifests, verify

OBJECTIVES = ["ce", "pass_n4", "pass_n16", "pass_n64"]
LABELS = ["CE", "Pass@4", "Pass@16", "Pass@64"]
KS = [1, 4]

# Written by Snakemake or beside a job; everything else under results/ is an artifact.
NO_ARTIFACTS = {"logs", "benchmarks", "provenance"}


@pytest.fixture(scope="module")
def table(finished):
    return pd.read_csv(finished / "results/seconds/tables/table2.csv")


@pytest.fixture
def manifests_by_output(finished, monkeypatch):
    """Manifests name files as seen from the repository's folder."""
    monkeypatch.chdir(finished.folder)
    return load_manifests(Path("results/seconds"))


# --- what was made ---


@pytest.mark.parametrize(
    "file",
    [
        "tables/table2.csv",
        "tables/table2.md",
        "tables/table2.tex",
        "figures/fig1.pdf",
        "figures/fig1.png",
        "figures/fig1.caption.md",
        "metrics/math_sft_pass.csv",
        "metrics/math_sft_pass.problems.parquet",
        "metrics/math_sft_pass.summary.csv",
        "metrics/math_sft_pass.weights.csv",
        "metrics/math_sft_pass.tokens.csv",
        "tables/table1.csv",
        "tables/table1.md",
        "tables/table1.tex",
        *(f"figures/fig{n}.{ending}" for n in range(11, 18) for ending in ("pdf", "png")),
        "metrics/scaling_factors.curves.parquet",
        "metrics/scaling_factors.alignment.csv",
        "metrics/scaling_factors.variance.csv",
        "metrics/scaling_factors.normalisation.csv",
        "metrics/scaling_factors.within_prompt.csv",
        *(f"figures/fig{n}.{ending}" for n in (9, 10) for ending in ("pdf", "png")),
        "metrics/diagonal_diagnostic.ratios.parquet",
        "metrics/diagonal_diagnostic.rho.csv",
        "metrics/diagonal_diagnostic.theorem3.csv",
        "claims.csv",
    ],
)
def test_a_run_makes(finished, file):
    assert (finished / "results/seconds" / file).stat().st_size > 0


def test_running_again_does_nothing(rerun):
    assert "Nothing to be done" in rerun.run(preset="seconds")


def test_every_job_left_a_manifest(finished):
    jobs = finished.expected_jobs("seconds")
    del jobs["all"]  # makes nothing
    assert Counter(manifest["rule"] for manifest in finished.manifests()) == jobs


def test_nothing_is_trained_twice_and_experiments_share_their_runs(finished):
    """Every run of a recipe, objective and seed once, though Figure 18 shows two of Table 3's runs."""
    trained = Counter(
        (*manifest["wildcards"].values(), settings["seed"])
        for manifest in finished.manifests()
        if manifest["rule"] in ("train_sft", "train_grpo")
        for settings in manifest["params"]["settings"]
    )
    assert set(trained.values()) == {1}
    recipes, experiments = (finished.config(name)[name] for name in ("recipes", "experiments"))
    chosen = [experiments[name] for name in finished.config("seconds")["experiments"]]
    runs = runs_of(chosen)
    wanted = runs | {(recipe, "warmup") for recipe in warmups_of(runs, recipes)}
    assert {(recipe, objective) for recipe, objective, _ in trained} == wanted
    assert len(trained) == 2 * len(wanted)
    assert sum(len(runs_of([entry])) for entry in chosen if entry["kind"] == "comparison") == len(runs) + 2
    assert recipes["token_margin"]["warmup_recipe"] == "math_rl_pass"  # a warm-up that two recipes share


def test_no_checkpoint_shard_or_partial_file_is_left(finished):
    assert list((finished / "results/seconds/checkpoints").iterdir()) == []
    assert list((finished / "results").rglob("*partial*")) == []


# --- where it came from ---


def test_every_artifact_is_what_its_manifest_says(manifests_by_output):
    for path in manifests_by_output:
        verify(Path(path), manifests_by_output)


def test_every_file_belongs_to_an_artifact(manifests_by_output):
    root = Path("results/seconds")
    for file in root.rglob("*"):
        if file.is_file() and file.relative_to(root).parts[0] not in NO_ARTIFACTS:
            assert {str(file), *map(str, file.parents)} & set(manifests_by_output), file


def test_every_job_read_what_an_earlier_job_wrote(manifests_by_output):
    written = {
        entry["path"]: entry["sha256"] for manifest in manifests_by_output.values() for entry in manifest["outputs"]
    }
    for manifest in manifests_by_output.values():
        for entry in manifest["inputs"]:
            if entry["path"].startswith("results/"):  # and not config/reported.csv or a caption
                assert entry["sha256"] == written[entry["path"]], f"{manifest['rule']} read {entry['path']}"


def test_manifests_name_the_commit(finished):
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, check=True).stdout.strip()
    for manifest in finished.manifests():
        assert manifest["git"] == {"commit": head, "dirty": False, "difference_sha256": None}


def test_objectives_of_a_seed_share_their_randomness_and_seeds_do_not(finished):
    for rule in ("train_sft", "sample"):
        seeds = {
            tuple(settings["seed"] for settings in manifest["params"]["settings"])
            for manifest in finished.manifests()
            if manifest["rule"] == rule
            and manifest["wildcards"]["recipe"] == "math_sft_pass"
            and manifest["wildcards"]["objective"] != "warmup"
        }
        ((one, other),) = seeds
        assert one != other


# --- what it says ---


def test_table_has_a_row_per_arm_and_k(table):
    for k in KS:
        rows = table[table["k"] == k]
        assert list(rows["arm"]) == OBJECTIVES
        assert list(rows["label"]) == LABELS
        assert set(rows["metric"]) == {"pass"}


@pytest.mark.parametrize("k", KS)
def test_table_has_values_within_their_intervals(table, k):
    rows = table[table["k"] == k]
    assert rows["value"].between(0, 100).all()
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()


@pytest.mark.parametrize("k", KS)
def test_table_has_differences_from_the_baseline(table, k):
    rows = table[table["k"] == k]
    assert rows["difference"].to_numpy() == pytest.approx(rows["value"] - rows["value"].iloc[0], abs=2e-4)
    ends = rows[["difference_low", "difference_high"]]
    assert ends.iloc[0].isna().all()  # the baseline's difference from itself is no estimate
    assert (ends.iloc[1:, 0] <= rows["difference"].iloc[1:]).all()
    assert (rows["difference"].iloc[1:] <= ends.iloc[1:, 1]).all()


@pytest.mark.parametrize("k", KS)
def test_table_has_the_reported_values_beside(finished, table, k):
    reported = pd.read_csv(finished / "config/reported.csv").query(f"paper_item == 'Table 2' and k == {k}")
    assert list(reported["model"]) == LABELS
    assert list(table.loc[table["k"] == k, "reported"]) == list(reported["value"])


def test_table_has_the_weights(table):
    weights = table[table["k"].isna()].pivot(index="arm", columns="metric", values="value").loc[OBJECTIVES]
    assert (weights.iloc[0][["weight_p05", "weight_p50", "weight_p95", "effective_share"]] == 1).all()  # cross-entropy
    assert (weights["weight_p05"].iloc[1:] < 1).all()
    assert (weights["weight_p05"] <= weights["weight_p95"]).all()
    assert weights["effective_share"].between(0, 1).all()


@pytest.mark.parametrize("ending", ["md", "tex"])
def test_readable_tables_name_objectives_preset_and_sizes(finished, ending):
    text = (finished / f"results/seconds/tables/table2.{ending}").read_text()
    for part in [*LABELS, "Pass@1", "Preset seconds", "2 seeds", "8 test problems", "pools of 8 samples"]:
        assert part in text


@pytest.mark.parametrize("k", KS)
def test_values_of_the_table_are_those_of_the_scores(finished, table, k):
    """Pass@k over all draws of k samples of each pool, whatever happened between scores and table."""
    folder = finished / "results/seconds/scores/math_sft_pass"
    for objective, value in table.loc[table["k"] == k, ["arm", "value"]].itertuples(index=False):
        found = []
        for file in sorted((folder / objective).glob("*.parquet")):
            for _, pool in pd.read_parquet(file).groupby("problem_id"):
                assert len(pool) == 8
                found += [any(draw) for draw in itertools.combinations(pool["correct"], k)]
        assert len(found) == 2 * 8 * math.comb(8, k)
        assert value == pytest.approx(100 * sum(found) / len(found), abs=1e-3)


def test_every_problem_and_seed_of_the_diagnosed_pools_is_counted_with_the_undefined_ones(finished):
    rho = pd.read_csv(finished / "results/seconds/metrics/diagonal_diagnostic.rho.csv")
    assert list(rho["figure"]) == ["fig9", "fig10"]
    assert (rho["n_pools"] == 2 * 8).all() and (rho["n_samples"] == 8).all()
    ratios = pd.read_parquet(finished / "results/seconds/metrics/diagonal_diagnostic.ratios.parquet")
    for figure, rows in ratios.groupby("figure"):
        (row,) = rho[rho["figure"] == figure].to_dict("records")
        recipe, objective = row["recipe"], row["objective"]
        files = sorted((finished / f"results/seconds/scores/{recipe}/{objective}").glob("*.parquet"))
        rights = pd.concat([pd.read_parquet(file).groupby("problem_id")["correct"].sum() for file in files])
        assert len(rows) == len(rights)
        assert rows["rho"].isna().sum() == row["n_undefined"] == rights.isin([0, 8]).sum()


def test_figure_opens_as_png_and_pdf(finished):
    png = (finished / "results/seconds/figures/fig1.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (990, 720)  # one column, 3.3 x 2.4 inches, at 300 dots per inch
    pdf = (finished / "results/seconds/figures/fig1.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


# --- from another folder ---


def test_it_runs_from_another_working_folder(finished, tmp_path):
    folder = tmp_path / "another folder"
    folder.mkdir()
    assert finished.plan(preset="seconds", cwd=folder) == finished.expected_jobs("seconds")
    finished.run("results/seconds/data/math/test.parquet", preset="seconds", cwd=folder)
    path = "results/seconds/data/math/test.parquet"
    assert (folder / path).read_bytes() == (finished / path).read_bytes()
    assert (folder / "results/seconds/provenance/problems/math.json").is_file()
