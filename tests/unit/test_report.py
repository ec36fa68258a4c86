"""The report page: what it says of claims, tables, costs and origins, and how a browser shows it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import browser
import numpy as np
import pandas as pd
import pytest
from conftest import REPO

from compute_aligned.presentation import panels, report
from compute_aligned.presentation.figures import curves
from compute_aligned.presentation.figures.style import save_figure
from compute_aligned.presentation.page import make_report
from compute_aligned.presentation.tables.comparison import comparison
from compute_aligned.presentation.tables.forms import write_table
from compute_aligned.provenance.artifacts import write_artifact
from compute_aligned.provenance.hashing import describe
from compute_aligned.provenance.manifests import jobs_behind

POPULATIONS = {1: "problems only", 5: "seeds x problems"}
EXPERIMENT = {
    "kind": "comparison",
    "title": "Pass@k after SFT.",
    "question": "Does it pay?",
    "recipe": "math_sft_pass",
    "objectives": ["ce", "pass_n16"],
    "k": [1, 16],
    "table": "table2",
    "figures": {"fig1": "difference"},
    "items": [["table", "table2"], ["figure", "fig1"]],
}


def claim(name, unit="points", effect=2.0, half=1.0, **changes):
    """A row of claims.csv."""
    interval = {"low": None, "high": None} if effect is None or half is None else {}
    return {
        "claim": name,
        "statement": f"Statement <{name}> & more.",
        "paper_item": "Table 2",
        "experiment": "math_sft_pass",
        "family": "Table 2",
        "unit": unit,
        "reported": 4.6,
        "effect": effect,
        **(interval or {"low": effect - half, "high": effect + half}),
        "p": 0.01,
        "p_holm": 0.0004,
        "detectable": 3.3,
        "weight_acted": True,
        "baseline_learned": None,
        "scale_reached": True,
        "headroom": True,
        "verdict": "reproduced",
        "reason": "Its interval is above 0.",
        "preset": "mini",
        "seeds": 5,
        "problems": 300,
    } | changes


NOTHING = dict.fromkeys(("unit", "reported", "effect", "low", "high", "p", "p_holm", "detectable", "weight_acted"))
NOTHING |= dict.fromkeys(("baseline_learned", "scale_reached", "headroom"))
CLAIMS = pd.DataFrame(
    [
        claim("C01"),
        claim("C02", effect=-0.04, half=0.5, verdict="inconclusive", weight_acted=False, scale_reached=False),
        claim("C03", "reward units", -3.21, verdict="contradicted"),
        claim("C04", experiment="warmup_transfer", verdict="not tested here", reason="Left out.", **NOTHING),
    ]
)


def summary_of(n_seeds, n_problems):
    """A summary of two objectives at two k; without intervals where neither seeds nor problems give one."""
    known = n_seeds > 1 or n_problems > 1
    population = POPULATIONS[n_seeds] if n_problems > 1 else "seeds only" if n_seeds > 1 else "none"
    rows = []
    for objective, label, difference in (("ce", "CE", 0.0), ("pass_n16", "Pass@16", 0.12)):
        for k in (1, 16):
            value = 0.2 + difference + k / 100
            rows.append(
                {
                    "experiment": "math_sft_pass",
                    "recipe": "math_sft_pass",
                    "arm": objective,
                    "label": label,
                    "beyond_paper": False,
                    "baseline": "ce",
                    "metric": "pass",
                    "k": k,
                    "value": value,
                    "low": value - 0.02 if known else np.nan,
                    "high": value + 0.02 if known else np.nan,
                    "difference": difference,
                    "difference_low": difference - 0.02 if known else np.nan,
                    "difference_high": difference + 0.02 if known else np.nan,
                    "difference_p": 0.5,
                    "population": population,
                    "reported": 0.463,
                    "reported_difference": 0.046 if objective == "pass_n16" else 0.0,
                    "n_seeds": n_seeds,
                    "n_problems": n_problems,
                    "n_samples": 128,
                }
            )
    return pd.DataFrame(rows)


WEIGHTS = pd.DataFrame(
    {
        "arm": ["ce", "pass_n16"],
        "label": ["CE", "Pass@16"],
        "weight_p05": [1.0, 0.00123],
        "weight_p50": [1.0, 0.456],
        "weight_p95": [1.0, 0.987],
        "effective_share": [1.0, 0.62],
        "log_p_p50": [-2.4, -3.7],
        **dict.fromkeys(("success_rate_p50", "no_signal_share", "reward_first", "reward_last", "kl_last"), np.nan),
        "n_rows": 100,
        "n_seeds": 5,
    }
)


def tokens_of(summary):
    """What the arms of a summary cost, 3 and 4 tokens an answer, and a crossover of the second."""
    columns = ["experiment", "recipe", "arm", "label", "beyond_paper", "baseline", "metric", "k"]
    of_ce = summary["arm"] == "ce"
    tokens = summary["k"] * np.where(of_ce, 3.0, 4.0)
    ends = {"tokens_low": tokens - 0.5 * summary["k"], "tokens_high": tokens + 0.5 * summary["k"]}
    if summary["low"].isna().all():
        ends = dict.fromkeys(ends, np.nan)
    apart = {name: summary[name] for name in ("difference", "difference_low", "difference_high")}
    crossover = {"crossover": 1234.5, "crossover_to": "ahead", "crossover_clear": True, "n_crossings": 1}
    return (
        summary[columns]
        .assign(
            **{"tokens": tokens, **ends, "value": summary["value"], "compared_at": tokens, **apart},
            **{name: pd.Series(value, summary.index).where(~of_ce) for name, value in crossover.items()},
        )
        .fillna({"n_crossings": 0})
    )


def manifest(rule, wildcards, inputs, outputs, params=None, **facts):
    """Write a job's manifest, as it would stand in a results folder, and its benchmark."""
    name = "_".join(wildcards.values()) or "all"
    content = {
        "rule": rule,
        "wildcards": wildcards,
        "params": params or {},
        "inputs": [describe(Path(path)) for path in inputs],
        "outputs": [describe(Path(path)) for path in outputs],
        "facts": facts,
        "started": "2026-01-02T03:04:05+00:00",
        "ended": "2026-01-02T03:05:05+00:00",
        "git": {"commit": "0123456789abcdef", "dirty": False, "difference_sha256": None},
        "packages": {"torch": "2.0"},
        "python": "3.11.7",
        "interpreter": "/secret/python",
        "host": "secret-host",
        "machine": "Linux x86_64, 2 CPUs",
        "gpu": None,
        "slurm_job_id": None,
        "peak_memory_bytes": 100 * 2**20,
    }
    file = Path("results/mini/provenance", rule, f"{name}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return content


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Make the page of a small results folder; returns its file."""
    monkeypatch.chdir(tmp_path)

    def made(
        seeds=(1, 2, 3, 4, 5),
        n_seeds=None,
        n_problems=300,
        left_out=("warmup_transfer",),
        split="test",
        tokens=True,
    ):
        root = Path("results/mini")
        summary, weights = root / "metrics/math_sft_pass.summary.csv", root / "metrics/math_sft_pass.weights.csv"
        of_runs = summary_of(n_seeds or len(seeds), n_problems)
        write_artifact(of_runs, "summary", summary)
        write_artifact(WEIGHTS, "weights", weights)
        if tokens:
            write_artifact(tokens_of(of_runs), "tokens", root / "metrics/math_sft_pass.tokens.csv")
        write_artifact(CLAIMS, "claims", root / "claims.csv")
        table = [root / f"tables/table2.{ending}" for ending in ("csv", "md", "tex")]
        figure = [root / f"figures/fig1.{ending}" for ending in ("pdf", "png", "caption.md")]
        write_table(comparison([of_runs], [WEIGHTS], ["Pass@k."], "mini", "test"), *table)
        save_figure(*curves.difference(of_runs, "Pass@k after SFT.", "mini", "test"), *figure)
        manifest("base_model", {"model": "math"}, [], [weights], source={"revision": "cafe"})
        manifest("measure", {"experiment": "math_sft_pass"}, [weights], [summary])
        manifest("table", {"item": "table2"}, [summary], table)
        manifest("figure", {"item": "fig1"}, [summary], figure)
        manifest("claims", {}, [summary], [root / "claims.csv"])
        records = [(label, root / f"training/{arm}.parquet") for arm, label in (("ce", "CE"), ("pass_n16", "Pass@16"))]
        for label, record in records:
            weight = 1.0 if label == "CE" else 0.25
            steps = pd.DataFrame({"step": [1, 1, 2], "log_p": [-3.0, -1.0, -1.5], "weight": weight})
            write_artifact(steps.assign(success_rate=np.nan), "training", record)
        recorded = {"kind": "training", "runs": [[label, str(record)] for label, record in records]}
        make_report(
            preset={
                "preset": "mini",
                "split": split,
                "seeds": list(seeds),
                "models": {"math": {"source": {"kind": "hub"}}, "protein": {"source": {"kind": "folder"}}},
                "data": {},
            },
            experiments={"math_sft_pass": EXPERIMENT | {"records": recorded}},
            left_out=list(left_out),
            command="snakemake --configfile config/mini.yaml --cores 2",
            results=root,
            path_to_claims=root / "claims.csv",
            path_to_template=REPO / "workflow/report/report.html.j2",
            path_to_report=root / "report.html",
        )
        return root / "report.html"

    return made


class Text(HTMLParser):
    """All text of a page in one line; its identifiers, links and addresses of what it shows."""

    def __init__(self, file):
        super().__init__()
        self.words, self.ids, self.links, self.sources = [], [], [], []
        self.feed(Path(file).read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []

    def handle_data(self, data):
        self.words.append(data)


# --- strays ----------------------------------------------------------------------------------------------------------


def test_a_stray_file_beside_a_table_or_figure_changes_nothing(page):
    without = page().read_text()
    root = Path("results/mini")
    for stray in ("tables/table2.bak", "tables/table2.csv~", "tables/table2.d/x", "figures/fig1.svg", "metrics/a.csv"):
        (root / stray).parent.mkdir(exist_ok=True)
        (root / stray).write_text("stray")
    assert page().read_text() == without


# --- claims ----------------------------------------------------------------------------------------------------------


def test_claims_come_in_order_on_the_axis_of_their_unit_and_those_without_a_number_apart():
    rows, without = report.claims_in_order(CLAIMS.iloc[[0, 2, 1, 3]])
    assert [row["claim"] for row in rows] == ["C01", "C03", "C02"]
    assert [row["claim"] for row in without] == ["C04"] and without[0]["effect"] is None
    axis = rows[0]["axis"]
    assert rows[2]["axis"] is axis is not rows[1]["axis"]
    assert axis.low <= -0.54 and axis.high >= 4.6 and 0 in axis.ticks


def test_first_to_look_at_are_the_clearest_supported_and_the_clearest_contradicted_claim():
    clearer = pd.DataFrame([claim("C05", p_holm=0.0001), claim("C06", p_holm=None)])
    found = report.look_first(pd.concat([CLAIMS, clearer]))
    assert [row["claim"] for row in found] == ["C05", "C03"]
    assert report.look_first(CLAIMS[CLAIMS["verdict"] == "inconclusive"]) == []


def test_places_on_an_axis_are_in_proportion_and_an_outlier_does_not_stretch_it():
    rows = pd.DataFrame([claim(f"C{i}", effect=i / 2) for i in range(10)] + [claim("C99", reported=60.0)])
    axis = report.forest_axis(rows)
    assert axis.high < 10
    left, middle, right = (axis.x(value) for value in (axis.low, (axis.low + axis.high) / 2, axis.high))
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    assert axis.x(60.0) == right  # the template draws an arrow there
    assert 0 < left < right < report.FOREST_WIDTH


def test_an_axis_of_nothing_but_0_has_a_width():
    axis = report.forest_axis(pd.DataFrame([claim("C01", effect=0.0, half=0.0, reported=None)]))
    assert axis.low < 0 < axis.high


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(8.51, "points", "+8.5"), (-0.04, "points", "0.0"), (-0.112, "reward units", "−0.11"), (None, "points", "–")],
)
def test_effects_are_rounded_as_their_unit_wants(value, unit, text):
    assert report.claim_number(value, unit) == text


# --- tables ----------------------------------------------------------------------------------------------------------


def test_a_cell_has_value_interval_difference_and_the_papers_beside_it():
    table = report.comparison_table(summary_of(5, 300))
    assert table["heads"] == ["Pass@1", "Pass@16"] and table["reported"]
    baseline, other = (row["cells"][1] for row in table["rows"])
    assert baseline["difference"] is None and not baseline["excludes_0"]
    assert other == {
        "value": "48.0",
        "interval": "[46.0, 50.0]",
        "difference": "+12.0",
        "difference_interval": "[+10.0, +14.0]",
        "excludes_0": True,
        "reported": "46.3",
        "reported_difference": "+4.6",
        "arm": "pass_n16",
        "k": 16,
    }


def test_answers_cost_their_tokens_and_arms_are_compared_at_equal_ones():
    table = report.token_table(tokens_of(summary_of(5, 300)))
    assert table["heads"] == ["Pass@1", "Pass@16"]
    ce, other = table["rows"]
    assert (ce["tokens"], ce["interval"], ce["crossover"]) == ("3.00", "[2.50, 3.50]", "–")
    assert all(cell["difference"] is None and not cell["excludes_0"] for cell in ce["cells"])
    assert (other["tokens"], other["crossover"]) == ("4.00", "ahead from 1230 tokens")
    assert other["cells"][1] == {
        "tokens": "64.0",
        "difference": "+12.0",
        "interval": "[+10.0, +14.0]",
        "excludes_0": True,
    }
    alone = report.token_table(tokens_of(summary_of(1, 1)).assign(crossover_clear=False))["rows"][1]
    assert alone["interval"] is None and alone["cells"][0]["interval"] is None
    assert alone["crossover"] == "(ahead from 1230 tokens)"


def test_the_page_of_a_run_that_counted_no_tokens_says_nothing_of_them(page):
    assert "Cost per answer" in Text(page()).text
    Path("results/mini/metrics/math_sft_pass.tokens.csv").unlink()
    assert "Cost per answer" not in Text(page(tokens=False)).text


def test_weights_leave_out_columns_that_no_arm_has():
    table = report.weights_table(WEIGHTS)
    assert table["heads"] == ["5 %", "median", "95 %", "effective share", "median log p"]
    assert table["rows"][1]["cells"] == ["0.00123", "0.456", "0.987", "0.62", "−3.7"]
    assert not table["of_advantages"]


def test_a_markdown_table_becomes_html_with_its_formulas_drawn():
    html = report.table_html("**W**\n\n|  | S |\n| --- | ---: |\n| a<b | $1 - (1-p)^N$ |\n")
    assert '<div class="box"><table><caption>W</caption>' in html and '<th scope="row">a&lt;b</th>' in html
    assert html.count('scope="col"') == 2 and html.count("<td") == 1
    assert 'alt="1 - (1-p)^N" src="data:image/svg+xml;base64,' in html and "$" not in re.sub("<[^>]*>", "", html)


def test_many_figures_are_named_by_the_first_and_the_last():
    assert report.item_names(["table1", *(f"fig{n}" for n in range(11, 18))]) == "Table 1, Figures 11 to 17"
    assert report.item_names(["table6", "fig5", "fig7"]) == "Table 6, Figures 5, 7"
    assert report.item_names(["fig3"]) == "Figure 3"
    assert report.item_names(["gain_table", "gain_matrix"]) == "gain table, gain matrix"


# --- curves ---------------------------------------------------------------------------------------------------------


def test_a_curve_is_the_mean_over_rows_then_steps_then_seeds_and_its_values_are_told():
    """Against plain sums: 45 steps of two rows, so each point is the mean of three steps."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(2, 45, 2))  # seed, step, row
    runs = [
        panels.over_its_steps(
            pd.DataFrame({"step": np.repeat(np.arange(1, 46), 2), "log_p": seed.ravel(), "weight": 1.0}), "training"
        )
        for seed in raw
    ]
    weight, log_p = panels.training_panels({"CE": runs}, "training")
    assert len(log_p["heads"]) == 15 and log_p["heads"][0] == "1 to 3" and log_p["heads"][-1] == "43 to 45"
    of_seeds = [sum(sum(seed[step]) / 2 for step in (3, 4, 5)) / 3 for seed in raw]  # the second point
    texts = [f"{value:z.3g}".replace("-", "−") for value in (sum(of_seeds) / 2, min(of_seeds), max(of_seeds))]
    assert log_p["curves"][0]["cells"][1] == f"{texts[0]} [{texts[1]}, {texts[2]}]"
    assert weight["curves"][0]["cells"] == ["1"] * 15
    heights = [float(point.split()[1]) for point in log_p["curves"][0]["line"].strip("M").split("L")]
    means = raw.mean(axis=(0, 2)).reshape(15, 3).mean(axis=1)
    assert np.corrcoef(heights, means)[0, 1] == pytest.approx(-1, abs=1e-4)  # up is less
    assert min(heights) >= panels.TOP and max(heights) <= panels.HEIGHT - panels.BOTTOM


def test_what_no_run_records_has_no_panel_and_results_stand_at_their_budgets():
    steps = pd.DataFrame({"step": [1, 2], "reward": [0.2, 0.4], "weight_p50": 1.0, "log_p_p50": np.nan, "kl": [0, 0.1]})
    found = panels.training_panels({"GRPO": [panels.over_its_steps(steps, "rl_training")]}, "rl_training")
    assert [panel["title"].split(",")[0] for panel in found] == [
        "reward", "weight on the advantage", "KL to the start (nats per token)",
    ]  # fmt: skip
    assert found[0]["curves"][0]["cells"] == ["0.2", "0.4"]
    results = panels.result_panel(summary_of(5, 300))
    assert results["title"] == "Pass@k (%)" and results["heads"] == ["1", "16"]
    assert results["curves"][1]["cells"][1] == "48.0 [46.0, 50.0]"
    assert panels.result_panel(summary_of(1, 1))["curves"][1]["cells"][1] == "48.0"


# --- colours --------------------------------------------------------------------------------------------------------


def test_text_has_a_contrast_of_4_5_and_curves_of_3_in_light_and_dark():
    """By the formula of WCAG 2."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    text = (REPO / "workflow/report/report.html.j2").read_text()
    schemes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", text, re.S)]
    assert len(schemes) == 3  # light, dark, print
    for colours in schemes:
        for ground in ("page", "panel"):
            for name in set(colours) - {"page", "panel", "line"}:
                one, other = sorted((luminance(colours[name]), luminance(colours[ground])))
                assert (other + 0.05) / (one + 0.05) >= (3 if re.match(r"s\d", name) else 4.5), (name, ground)


# --- where it came from ----------------------------------------------------------------------------------------------


def test_jobs_behind_an_artifact_are_all_that_led_to_it_each_once():
    jobs = {
        name: {"inputs": [{"path": path} for path in inputs], "name": name}
        for name, inputs in {"d": ["b", "c"], "b": ["a"], "c": ["a", "outside"], "a": [], "other": ["a"]}.items()
    }
    assert sorted(job["name"] for job in jobs_behind(["d"], jobs)) == ["a", "b", "c", "d"]


def test_costs_are_those_of_the_benchmarks_and_of_the_manifest_where_one_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wildcards = {"recipe": "r", "objective": "ce"}
    of_all_seeds = manifest("sample", wildcards, [], [])
    of_a_seed = manifest("sample", wildcards | {"seed": "3"}, [], [])
    benchmarks = tmp_path / "benchmarks/sample/r/ce"
    benchmarks.mkdir(parents=True)
    (benchmarks / "seeds.tsv").write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t300.0\n")
    (benchmarks / "seed3.tsv").write_text("s\th:m:s\tmax_rss\n2.5\t0:00:02\t-\n")  # too short to be measured
    found = report.costs([of_all_seeds, of_a_seed, manifest("claims", {}, [], [])], tmp_path / "benchmarks")
    assert found == [
        {"rule": "sample", "jobs": 2, "seconds": 15.0, "longest": 12.5, "memory": 300.0},
        {"rule": "claims", "jobs": 1, "seconds": 60.0, "longest": 60.0, "memory": 100.0},
    ]


def test_durations_are_read_at_a_glance():
    assert [report.duration(s) for s in (0.63, 97, 465, 8000)] == ["0.6 s", "97.0 s", "7 min 45 s", "2.2 h"]


def test_every_rule_that_makes_an_item_has_a_caption():
    rules = set(re.findall(r"caption=\"../report/(\w+)\.rst\"", (REPO / "workflow/rules/report.smk").read_text()))
    assert rules == {"table", "figure", "claims", "report"}
    for rule in rules:
        text = (REPO / f"workflow/report/{rule}.rst").read_text()
        assert len(text) > 80 or "snakemake.output.caption" in text  # which the job wrote


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_says_what_was_found_and_how_to_redo_it_and_names_no_machine(page):
    file = page()
    found = Text(file)
    for said in (
        "1 ✓ reproduced", "1 ✗ contradicted", "1 ? inconclusive", "1 – not tested here",
        "0 ≈ right sign, too small to matter",
        "C01 ✓ reproduced Statement <C01> & more.", "[+1.0, +3.0]", "p < 0.001", "detectable 3.3", "weight did not act",
        "scale not reached", "scale reached", "headroom",
        "warmup_transfer, left out of this preset", "Left out of this preset", "Does it pay?",
        "+12.0 [+10.0, +14.0]", "46.3 (+4.6)", "0.00123",
        "snakemake --configfile config/mini.yaml --cores 2 --force results/mini/figures/fig1.png",
        "python -m compute_aligned audit results/mini/tables/table2.csv --arm pass_n16 --k 1",
        "At step 2 : CE −1.5 Pass@16 −1.5", "1 claim without a number here: C04",
        "results/mini/provenance/figure/fig1.json", "0123456789ab", "torch 2.0",
        describe(Path("results/mini/figures/fig1.png"))["sha256"][:12],
        "source.kind hub, commit read cafe", "Figure 1. Pass@k after SFT. The metric at each test budget k minus",
    ):  # fmt: skip
        assert said in found.text, said
    assert "secret" not in file.read_text() and "source.kind folder" not in found.text  # no host; a model not used


def test_the_page_says_where_the_time_of_all_jobs_went(page):
    text = Text(page()).text
    _, table = text.split("Where the time went rule jobs time longest peak memory ")
    assert re.match(r"\w+ \d+ [\d.]+ (s|min|h)", table)


def test_the_page_is_one_small_file_whose_links_all_lead_somewhere(page):
    file = page()
    found = Text(file)
    assert file.stat().st_size < 3e6
    assert all(source.startswith("data:") for source in found.sources) and found.sources
    targets = [link.removeprefix("#") for link in found.links if link != "data:,"]
    assert all(link.startswith("#") for link in found.links if link != "data:,")
    assert set(targets) <= set(found.ids) and len(set(found.ids)) == len(found.ids)


@pytest.mark.parametrize(
    ("how", "said", "unsaid"),
    [
        ({}, ["5 seeds each", "over seeds x problems"], ["One seed", "One problem", "no evidence"]),
        ({"seeds": [1]}, ["one seed each", "One seed: intervals speak about other problems only"], ["5 seeds"]),
        ({"seeds": [1, 2], "n_seeds": 1}, ["One seed in math_sft_pass: intervals speak about"], ["One seed:"]),
        ({"n_problems": 1}, ["One problem in math_sft_pass: intervals are over seeds only"], ["One seed"]),
        (
            {"seeds": [1], "n_problems": 1},
            ["One problem in math_sft_pass: there is no interval", "128 samples; no intervals."],
            ["over none"],
        ),
        ({"left_out": []}, ["left out of the preset none"], ["Left out of this preset"]),
        ({"split": "validation"}, ["validation split, on which sizes were chosen: no evidence for a claim"], []),
    ],
)
def test_the_page_says_what_its_results_cannot(page, how, said, unsaid):
    text = Text(page(**how)).text
    assert [words for words in said if words not in text] == []
    assert [words for words in unsaid if words in text] == []
    assert "nan" not in text.lower().split()


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium: Debian's package chromium has it")
def test_a_browser_shows_the_page_without_a_complaint_and_at_every_width(page, tmp_path):
    file = page()
    with browser.chromium(tmp_path / "profile") as shown:
        for width, dark in ((1280, False), (1280, True), (390, False), (390, True)):
            browser.assert_sound(shown.open(file, width, dark), file)
        light, night = (shown.open(file, 390, dark).evaluate(BACKGROUND) for dark in (False, True))
        assert light == "rgb(255, 255, 255)" != night
        drawn = "[...document.querySelectorAll('.claims svg path.ours')].length"
        assert shown.evaluate(drawn) == 3  # a mark for each claim with an effect
        for steps, found in IN_USE:
            assert shown.evaluate(steps) == found, steps
        assert shown.complaints == []


# What a reader does, and what the page then shows.
IN_USE = [
    ("""(() => { const filter = document.getElementById("filter"); filter.elements.verdict.value = "inconclusive";
        filter.dispatchEvent(new Event("input"));
        return [...document.querySelectorAll("tr[data-verdict]:not([hidden])")].map(row => row.id); })()""",
     ["C02"]),
    ("document.getElementById('shown').textContent", "1 of 4 claims shown"),
    ("""(async () => { location.hash = "#C04"; await new Promise(done => setTimeout(done, 300));
        const row = document.getElementById("C04"); return [row.hidden, row.closest("details").open]; })()""",
     [False, True]),
    ("""(() => { document.querySelector(".results a.check").click();
        return [document.getElementById("check").matches(":popover-open"),
                document.getElementById("check-command").textContent]; })()""",
     [True, "python -m compute_aligned audit results/mini/tables/table2.csv --arm ce --k 1"]),
    ("""(() => { const plot = document.querySelectorAll("svg.plot")[2]; plot.focus();
        plot.dispatchEvent(new KeyboardEvent("keydown", {key: "Home"}));
        return plot.getAttribute("aria-valuetext"); })()""",
     "step 1; CE −2; Pass@16 −2"),
    ("""(() => { dispatchEvent(new Event("beforeprint"));
        return document.querySelectorAll("details:not([open])").length; })()""",
     0),
]  # fmt: skip
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
