"""The simulation of verdicts draws what it says, and sees the comparisons that the rules make."""

import sys

import numpy as np
import pytest
import yaml
from conftest import REPO

sys.path.insert(0, str(REPO / "benchmarks"))

import verdicts  # noqa: E402

from compute_aligned.statistics import crossed_interval  # noqa: E402

GIVEN = yaml.safe_load((REPO / "benchmarks" / "variance.yaml").read_text())
CLAIMS = yaml.safe_load((REPO / "config" / "claims.yaml").read_text())["claims"]


@pytest.fixture(scope="module")
def table():
    entry = GIVEN["experiments"]["math_sft_pass"] | {"problems": 40}
    return verdicts.Table("math_sft_pass", entry, GIVEN["correlation"], GIVEN["share"])


def test_the_coefficients_of_a_comparison_are_those_of_the_rules(table):
    (of_c03,) = table.comparisons(CLAIMS["C03"], None)
    assert of_c03["coefficients"].tolist() == [float(cell == ("pass_n64", 64)) for cell in table.cells]
    assert (of_c03["sign"], of_c03["limit"], of_c03["reported"]) == (1, 0, pytest.approx(7.8))
    slope, _ = table.comparisons(CLAIMS["C04"], None)
    at_one = {arm: c for (arm, k), c in zip(table.cells, slope["coefficients"], strict=True) if k == 1}
    # CE, which is 0 here, has -0.15.
    assert at_one == pytest.approx({"pass_n4": -0.05, "pass_n16": 0.05, "pass_n64": 0.15})
    assert table.shifts(1.0, {}) @ slope["coefficients"] == pytest.approx(slope["reported"])


def test_standard_errors_and_degrees_of_freedom_are_distributed_as_those_of_arrays(table, monkeypatch):
    monkeypatch.setattr(verdicts, "REPETITIONS", 1000)
    rng = np.random.default_rng(3)
    coefficients = np.array(
        [entry["coefficients"] for name in ("C03", "C06") for entry in table.comparisons(CLAIMS[name], None)]
    )
    mean, se, df = verdicts.simulate(rng, table, coefficients, table.shifts(1.0, {}), 5)
    tau, omega, gamma = table.covariances
    found = []
    for _ in range(1000):
        shape = ((tau, (5, 1)), (omega, (1, 40)), (gamma, (5, 40)))
        values = sum(verdicts._normal(rng, covariance, size) for covariance, size in shape) + table.shifts(1.0, {})
        found.append([crossed_interval(values @ row) for row in coefficients])
    for column in range(2):
        drawn = [row[column] for row in found]
        for ours, theirs in ((mean, "mean"), (se, "se"), (df, "df")):
            slow = np.array([getattr(interval, theirs) for interval in drawn])
            for share in (0.25, 0.5, 0.75):
                spread = slow.std()
                assert np.quantile(ours[:, column], share) == pytest.approx(np.quantile(slow, share), abs=0.15 * spread)
