"""How a number, an interval and a verdict are written, wherever one is: tables, figures, page, terminal, comparison."""

import pandas as pd

NONE = "–"
# By unit; two of those that are not here, None: so many digits as ``significant`` has.
DECIMALS = {
    **{"points": 1, "%": 1, "% of answer sets": 1, "nats": 1},
    **{"(CAT over pivotal)": 3, "cosine": 3, "nats per token": 3},
    "factor": None,
}
HUGE = 1e4  # from here on three digits and an exponent
# In the order in which they are told; the keys are those of analysis.claims.VERDICTS.
VERDICT_MARKS = {
    "reproduced": "✓",
    "right sign, too small to matter": "≈",
    "contradicted": "✗",
    "inconclusive": "?",
    "not tested here": NONE,
}


def is_missing(value: float | None) -> bool:
    """Whether a cell is empty: None, NaN or NA."""
    return value is None or bool(pd.isna(value))


def number(value: float | None, unit: str, sign: str = "") -> str:
    """A value with the decimals of its unit; a dash where there is none. What rounds to 0 has no sign: 0.0.

    Args:
        value: in that unit.
        unit: of ``units.UNITS`` and ``units.DIFFERENCE_UNITS``, of training weights, or a claim's.
        sign: ``+`` for effects and differences, whose sign is what they say.
    """
    if is_missing(value):
        return NONE
    decimals = DECIMALS.get(unit, 2)
    if decimals is None or abs(value) >= HUGE:
        return significant(value, sign=sign)
    return _signed(f"{value:{sign}z.{decimals}f}")


def significant(value: float | None, digits: int = 3, sign: str = "") -> str:
    """A value of no fixed scale, such as a weight, to some digits."""
    return NONE if is_missing(value) else _signed(f"{value:{sign}z.{digits}g}")


def _signed(text: str) -> str:
    return text if float(text) else text.lstrip("+")


def interval(low: float | None, high: float | None, unit: str, sign: str = "") -> str:
    """``[low, high]``, or "" where there is none."""
    return "" if is_missing(low) else f"[{number(low, unit, sign)}, {number(high, unit, sign)}]"


def estimate(value: float | None, low: float | None, high: float | None, unit: str, sign: str = "") -> str:
    """A value and its interval, where it has one."""
    return f"{number(value, unit, sign)} {interval(low, high, unit, sign)}".rstrip()


def half_width(value: float, low: float, high: float) -> float:
    """Half of an interval; the longer side, as a bound may have one side alone."""
    return max(high - value, value - low)


def p_value(value: float | None) -> str:
    """A p value, which is never 0."""
    return NONE if is_missing(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def typographic(text: str) -> str:
    """Text for page and figures: minus signs in place of hyphens. For what is nothing but numbers."""
    return text.replace("-", "−")
