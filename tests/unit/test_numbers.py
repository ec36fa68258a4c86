"""How numbers are written: by their unit, no sign at what rounds to 0, the same wherever they stand."""

import numpy as np
import pandas as pd
import pytest

from compute_aligned.analysis.claims import VERDICTS
from compute_aligned.presentation import numbers
from compute_aligned.presentation.claims_table import claims_table
from compute_aligned.presentation.report import claim_number
from compute_aligned.units import DIFFERENCE_UNITS, SCALES, UNITS


@pytest.mark.parametrize(
    ("value", "unit", "sign", "text"),
    [
        (12.345, "points", "+", "+12.3"),
        (-0.04, "points", "", "0.0"),
        (-0.04, "points", "+", "0.0"),
        (0.04, "points", "+", "0.0"),
        (0.06, "points", "+", "+0.1"),
        (0.0, "factor", "+", "0"),
        (-0.06, "points", "+", "-0.1"),
        (53.4, "%", "", "53.4"),
        (-0.7149, "reward units", "+", "-0.71"),
        (0.9994, "(CAT over pivotal)", "+", "+0.999"),
        (151035.99, "above 1", "+", "+1.51e+05"),
        (0.00123, "factor", "", "0.00123"),
        (64.0, "factor", "", "64"),
        (None, "points", "+", "–"),
        (np.nan, "points", "+", "–"),
        (pd.NA, "points", "+", "–"),
    ],
)
def test_a_number_has_the_decimals_of_its_unit_and_no_sign_at_zero(value, unit, sign, text):
    assert numbers.number(value, unit, sign) == text


def test_shares_are_shown_to_a_tenth_of_a_percent_and_rewards_to_a_hundredth():
    for metric, scale in SCALES.items():
        for unit in (UNITS[metric], DIFFERENCE_UNITS[metric]):
            decimals = len(numbers.number(1, unit).partition(".")[2])
            assert decimals == (1 if scale == 100 else 2), (metric, unit)


def test_an_interval_stands_beside_its_value_or_not_at_all():
    assert numbers.estimate(1.26, -0.04, 2.5, "points", "+") == "+1.3 [0.0, +2.5]"
    assert numbers.estimate(1.26, np.nan, np.nan, "points") == "1.3"
    assert numbers.half_width(1.0, 0.5, 3.0) == 2.0


def test_p_values_are_never_0():
    assert [numbers.p_value(p) for p in (1e-12, 0.0492, 1.0, None)] == ["< 0.001", "0.049", "1.000", "–"]


def test_every_verdict_has_a_mark_of_its_own():
    assert tuple(numbers.VERDICT_MARKS) == tuple(VERDICTS)
    assert len(set(numbers.VERDICT_MARKS.values())) == len(VERDICTS)


def test_page_and_terminal_say_the_same_number_of_a_claim():
    row = {"effect": -0.71, "low": -0.9, "high": 0.004, "reported": 0.1, "unit": "reward units"}
    claims = pd.DataFrame([row | {"claim": "C", "statement": "S.", "verdict": "v", "detectable": np.nan}])
    line = claims_table(claims).splitlines()[2]
    assert line == "| C | S. | +0.10 | -0.71 [-0.90, 0.00] reward units | **v** |"
    assert [claim_number(row[name], row["unit"]) for name in ("effect", "high")] == ["−0.71", "0.00"]
