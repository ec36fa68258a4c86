"""Verdicts on the paper's claims: reproduced, right sign but too small, contradicted, inconclusive, or not tested here.

The parts of a claim (``config/claims.yaml``) become comparisons, all of which have to hold: an intersection-union test.
No verdict looks at means alone; docs/method.md, "Claims", says how it is reached.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..statistics import (
    CrossedInterval,
    crossed_interval,
    holm,
    intersection_union_p,
    one_sided_p,
    power_at,
    seeds_by_problems,
    smallest_detectable_effect,
)
from ..units import DIFFERENCE_UNITS, RANGES, SCALES
from .effective_share import variation
from .preconditions import Check, large_enough, learned

REPRODUCED, CONTRADICTED, INCONCLUSIVE = "reproduced", "contradicted", "inconclusive"
TOO_SMALL, NOT_TESTED = "right sign, too small to matter", "not tested here"
VERDICTS = (REPRODUCED, TOO_SMALL, CONTRADICTED, INCONCLUSIVE, NOT_TESTED)
COLUMNS = (
    "claim statement paper_item experiment family unit reported effect low high p p_holm detectable weight_acted "
    "baseline_learned scale_reached headroom verdict reason preset seeds problems"
).split()


class NotTested(Exception):
    """What was run cannot decide a claim; the message is a sentence that says why."""


@dataclass(frozen=True)
class Comparison:
    """One thing that has to hold, in the unit of its claim.

    name: what is compared; wanted: what of it is claimed; interval: None where the effect is computed exactly; holds,
    fails: p values against its not holding and against its holding, 0 or 1 where exact, NaN where nothing varies that
    could be judged by; too_small: p value against an effect as large as the smallest one of interest, NaN where the
    paper's is not that large; reported: the paper's; lead: by how much that one is beyond what is claimed; headroom:
    whether the baseline leaves room for it, None where that is no question; note: what a reader of the number has to
    know, half a sentence.
    """

    name: str
    unit: str
    wanted: str
    effect: float
    holds: float
    fails: float
    interval: CrossedInterval | None = None
    too_small: float = nan
    reported: float = nan
    lead: float = nan
    headroom: bool | None = None
    n_seeds: int | None = None
    n_problems: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """What the results say about a claim: its comparisons, what the baseline did, and why it cannot be tested."""

    compared: tuple[Comparison, ...] = ()
    weight_acted: bool | None = None
    learned: Check | None = None
    scale: Check | None = None
    obstacle: str | None = None

    @property
    def exact(self) -> bool:
        """Whether everything is computed exactly, so that there is nothing to test."""
        return all(comparison.interval is None for comparison in self.compared)

    @property
    def unjudged(self) -> Comparison | None:
        """The first comparison of which nothing can be said."""
        return next((comparison for comparison in self.compared if isnan(comparison.holds)), None)

    @property
    def holds(self) -> float:
        """The p value against "not all comparisons hold" (intersection-union); NaN if one cannot be judged."""
        return intersection_union_p([comparison.holds for comparison in self.compared])

    @property
    def fails(self) -> float:
        """The p value against "no comparison fails" (Bonferroni)."""
        return _smallest([comparison.fails for comparison in self.compared])

    @property
    def too_small(self) -> float:
        """The p value against "no effect is too small" (Bonferroni); NaN where that is no question."""
        return _smallest([comparison.too_small for comparison in self.compared])

    def power(self, level: float) -> float:
        """The largest chance that such data have of showing all comparisons, were the effects the paper's; or NaN.

        All of them have to hold, so it is no larger than the least chance of one.
        """
        chances = [power_at(c.interval, c.lead, level) for c in self.compared if c.interval is not None]
        return min((chance for chance in chances if not isnan(chance)), default=nan)

    @property
    def p(self) -> float:
        """Two-sided; NaN where everything is exact or nothing can be judged; that of failing where only that can be."""
        return nan if self.exact else float(np.minimum(1, 2 * np.fmin(self.holds, self.fails)))


def _smallest(p_values: Sequence[float]) -> float:
    known = [p for p in p_values if not isnan(p)]
    return min(1.0, len(known) * min(known)) if known else nan


def judge(claims: dict, results: dict[str, dict], preset: str) -> pd.DataFrame:
    """A ``claims`` artifact: one row per claim.

    Args:
        claims: the content of ``config/claims.yaml``.
        results: experiment -> its results, artifacts by kind. Of a comparison of runs ``problems`` and ``summary``, and
            ``shares`` (arm -> effective share of its training weights, NaN where it has no scalar weight) and, of
            proteins, ``hydrophobic`` (arm -> a series per seed, the hydrophobic fractions of its samples); where they
            are known also ``start``, the ``problem_metrics`` of what the baseline started from, ``completions`` that
            each seed of the baseline was trained on, and its ``curves`` (per seed, see ``large_enough``). Of the
            diagonal diagnostic ``ratios``, ``rho``, ``theorem3``; of the closed forms ``alignment``, ``variance``,
            ``normalisation``, ``within_prompt``.
        preset: its name.
    """
    found = {name: examine(claim, results, claims) for name, claim in claims["claims"].items()}
    families = {name: claim["family"] for name, claim in claims["claims"].items()}
    tested = {name: finding for name, finding in found.items() if finding.obstacle is None and not finding.exact}
    p_holm = corrected({name: finding.p for name, finding in tested.items()}, families)
    too_small = corrected(
        {name: float(np.minimum(1, 2 * finding.too_small)) for name, finding in tested.items()}, families
    )
    rows = []
    for name, claim in claims["claims"].items():
        p = p_holm.get(name, nan)
        decision, comparison, reason = decide(found[name], p, too_small.get(name, nan), claim, claims["level"])
        if decision in (INCONCLUSIVE, CONTRADICTED) and name in tested:
            # Holm asks this level of the first of a family's claims.
            chance = found[name].power(claims["level"] / sum(families[other] == families[name] for other in p_holm))
            reason += underpowered(chance) if chance < claims["underpowered"] else ""
        row = {"claim": name, **{key: claim[key] for key in ("statement", "paper_item", "experiment", "family")}}
        row |= {"p": found[name].p, "p_holm": p, "weight_acted": found[name].weight_acted}
        row |= {"baseline_learned": _met(found[name].learned), "scale_reached": _met(found[name].scale)}
        row |= numbers(comparison, claims["level"], claims["power"])
        rows.append(row | {"verdict": decision, "reason": reason, "preset": preset})
    return pd.DataFrame(rows)[COLUMNS]


def examine(claim: dict, results: dict[str, dict], settings: dict) -> Finding:
    """All comparisons of a claim, and what keeps it from being tested; settings are those of all claims."""
    # A part may read the alignment of the weights, which is another experiment's.
    needed = [claim["experiment"], *(part["alignment"] for part in claim["parts"] if "alignment" in part)]
    for experiment in needed:
        if experiment not in results:
            return Finding(obstacle=f"The preset does not run the experiment {experiment}")
    conditions = settings["preconditions"]
    result = results[claim["experiment"]] | {"range": conditions["headroom"]["ranges"].get(claim["experiment"])}
    for experiment in needed[1:]:
        result = result | {"alignment": results[experiment]["alignment"]}
    try:
        compared = tuple(
            comparison
            for part in claim["parts"]
            for comparison in PARTS[part["kind"]](part, result, claim["smallest_effect"]["value"])
        )
    except NotTested as reason:
        return Finding(obstacle=str(reason))
    acted, obstacle = weights_acted(claim, result, settings["least_weight_variation"])
    obstacles = [obstacle] if obstacle else []
    gained, scale = baseline_learned(result, conditions["learned"]), scale_reached(result, conditions["scale"])
    if gained is not None and not gained.met:
        obstacles.append(f"The baseline {_baseline(result)} did not learn: {gained.said}")
    return Finding(compared, acted, gained, scale, "; ".join(obstacles) or None)


def baseline_learned(result: dict, settings: dict) -> Check | None:
    """Whether the baseline gained over its own start at one sample; None where either was not measured there."""
    if "start" not in result:
        return None
    problems, metric = result["problems"], result["problems"]["metric"].iloc[0]
    at_one, start = (frame[frame["k"] == 1] for frame in (problems, result["start"]))
    if at_one.empty or start.empty:
        return None
    scale, ends = SCALES[metric], RANGES[metric]
    trained = scale * seeds_by_problems(at_one, result["summary"]["baseline"].iloc[0])
    started = scale * seeds_by_problems(start, start["arm"].iloc[0])
    within = None if ends is None else (scale * ends[0], scale * ends[1])
    return learned(trained, started, settings["level"], _unit(result), within)


def scale_reached(result: dict, settings: dict) -> Check | None:
    """Whether the baseline was trained on enough; None where that, or the paper's number, is not known."""
    if "completions" not in result:
        return None
    problems, baseline = result["problems"], result["summary"]["baseline"].iloc[0]
    recipe = problems.loc[problems["arm"] == baseline, "recipe"].iloc[0]
    if recipe not in settings["completions"]:
        return None
    of_paper, rule = settings["completions"][recipe], settings["plateau"]
    return large_enough(
        result["completions"], of_paper, result["curves"], settings["share"], rule["last"], rule["gain"]
    )


def _met(check: Check | None) -> bool | None:
    return None if check is None else check.met


def weights_acted(claim: dict, result: dict, least_variation: float) -> tuple[bool | None, str | None]:
    """Whether the training weights of all compared arms but the baseline varied, and words if one's did not.

    None where no arm has a scalar weight.
    """
    if "shares" not in result:
        return None, None
    labels, baseline = _labels(result), result["summary"]["baseline"].iloc[0]
    named = [arm for part in claim["parts"] for key in ("objectives", "over") for arm in part.get(key, [])]
    spread = {arm: variation(result["shares"][arm]) for arm in dict.fromkeys(named) if arm != baseline}
    spread = {arm: value for arm, value in spread.items() if not isnan(value)}
    for arm, value in spread.items():
        if value < least_variation:
            return False, (
                f"The weight of {labels[arm]} did not act: its standard deviation is {100 * value:.2g} % of its mean, "
                f"less than {100 * least_variation:g} %"
            )
    return (True if spread else None), None


def corrected(p_values: dict[str, float], families: dict[str, str]) -> dict[str, float]:
    """Holm's correction over the claims of each family, of the p values that are none NaN."""
    adjusted = {}
    for family in dict.fromkeys(families.values()):
        members = [name for name, p in p_values.items() if families[name] == family and not isnan(p)]
        adjusted |= zip(members, holm([p_values[name] for name in members]).tolist(), strict=True)
    return adjusted


def decide(
    finding: Finding, p_holm: float, too_small: float, claim: dict, level: float
) -> tuple[str, Comparison | None, str]:
    """Verdict, the comparison that decides it, and the reason, one sentence.

    Args:
        finding: what the results say.
        p_holm: its p value, corrected; NaN where nothing is tested.
        too_small: twice its p value against large effects, corrected; NaN where that is no question.
        claim: the claim's entry.
        level: of a family.
    """
    compared = finding.compared
    weakest = finding.unjudged or max(compared, key=lambda comparison: comparison.holds, default=None)
    if finding.obstacle is not None:
        return NOT_TESTED, weakest, f"{finding.obstacle}."
    of_many = f"the weakest of {len(compared)} comparisons, " if len(compared) > 1 else ""
    if finding.exact:
        if finding.holds == 0:
            return REPRODUCED, weakest, f"By exact computation {'; '.join(map(said, compared))}."
        return CONTRADICTED, weakest, f"By exact computation {said(weakest)}."
    tested = f"Holm-corrected p {_p(p_holm)}"
    if p_holm < level and finding.holds < finding.fails:
        if too_small < level:
            worst = _smallest_effect(compared)
            return TOO_SMALL, worst, _sentence(f"{said(worst)}; {tested}; {_too_small(claim, too_small)}")
        return REPRODUCED, weakest, _sentence(f"{said(weakest, of_many)}; {tested}")
    if p_holm < level:
        worst = _against(compared, "fails", level * _ratio(finding.p, p_holm))
        return *contradiction(finding, worst), _sentence(f"{said(worst)}; {tested}{barred(finding, worst)}")
    if too_small < level:
        worst = _against(compared, "too_small", level * _ratio(min(1.0, 2 * finding.too_small), too_small))
        small = _too_small(claim, too_small)
        return *contradiction(finding, worst), _sentence(f"{said(worst)}; {small}{barred(finding, worst)}")
    if finding.unjudged:
        return NOT_TESTED, weakest, _sentence(without_spread(weakest))
    return INCONCLUSIVE, weakest, _sentence(f"{said(weakest, of_many)}; {tested}")


def _ratio(p: float, p_holm: float) -> float:
    return p / p_holm if p_holm > 0 else 1.0


def _against(compared: Sequence[Comparison], by: str, level: float) -> Comparison:
    """The comparison that contradicts the most surely; one with headroom, if it contradicts by itself at the level."""
    known = sum(not isnan(getattr(comparison, by)) for comparison in compared)
    roomy = [c for c in compared if c.headroom is not False and 2 * known * getattr(c, by) < level]
    return min(roomy or compared, key=lambda comparison: np.nan_to_num(getattr(comparison, by), nan=2))


def contradiction(finding: Finding, worst: Comparison) -> tuple[str, Comparison]:
    """The verdict on data that speak against a claim: a run that is too short, or leaves no room, tests nothing."""
    return (NOT_TESTED if barred(finding, worst) else CONTRADICTED), worst


def barred(finding: Finding, worst: Comparison) -> str:
    """Why data that speak against a claim do not contradict it, the end of a sentence; or nothing."""
    reasons = []
    if finding.scale is not None and not finding.scale.met:
        reasons.append(f"the baseline is too small a run, {finding.scale.said}")
    if worst.headroom is False:
        reasons.append(f"the baseline leaves no room for the paper's {worst.reported:+.3g}")
    return f"; no contradiction, as {' and '.join(reasons)}" if reasons else ""


def _smallest_effect(compared: Sequence[Comparison]) -> Comparison:
    """The comparison whose effect is the surest to be too small."""
    return min(compared, key=lambda comparison: np.nan_to_num(comparison.too_small, nan=2))


def numbers(comparison: Comparison | None, level: float, power: float) -> dict:
    """What a row shows of the comparison that decides it."""
    if comparison is None:
        return dict.fromkeys("unit reported effect low high detectable headroom seeds problems".split())
    interval = comparison.interval
    return {
        "unit": comparison.unit,
        "reported": comparison.reported,
        "effect": comparison.effect,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "detectable": None if interval is None else smallest_detectable_effect(interval, level, power),
        "headroom": comparison.headroom,
        "seeds": comparison.n_seeds,
        "problems": comparison.n_problems,
    }


# --- words -----------------------------------------------------------------------------------------------------------


def said(comparison: Comparison, prefix: str = "") -> str:
    """`Pass@16 minus CE at k = 16 is +2.0 points [+0.2, +3.9], claimed is > 0`; the prefix ends in a comma."""
    interval = comparison.interval
    subject = f"{prefix}{comparison.name.rstrip(',')}," if prefix else comparison.name
    if interval is None:
        return f"{subject} is {comparison.effect:.3g} {comparison.unit}, claimed is {comparison.wanted}"
    form = "+z.1f" if comparison.unit == "points" else "+z.2f"  # z: no -0.0
    between = f"[{interval.low:{form}}, {interval.high:{form}}]"
    over = "" if interval.population in ("seeds x problems", "none") else f" over {interval.population}"
    if interval.within is not None:
        over += f" (a bound, as all values are equal, {interval.alike} of them independent)"
    note = f", {comparison.note}" if comparison.note else ""
    return (
        f"{subject} is {interval.mean:{form}} {comparison.unit} {between}{over}, claimed is {comparison.wanted}{note}"
    )


def _too_small(claim: dict, p: float) -> str:
    smallest = f"the smallest effect of interest, {claim['smallest_effect']['value']:g}"
    return f"it is smaller than {smallest}, Holm-corrected p {_p(p)}"


def without_spread(comparison: Comparison) -> str:
    """Why a comparison cannot be judged."""
    if comparison.interval.population == "none":
        return "one seed and one problem give no interval"
    return (
        f"{comparison.name.rstrip(',')} is {comparison.effect:.3g} {comparison.unit} without any spread over "
        f"{comparison.n_seeds} seeds and {comparison.n_problems} problems, so that nothing says how far off it may be"
    )


def underpowered(chance: float) -> str:
    """A sentence beside the verdict on data that could hardly have reproduced a claim."""
    share = "less than 1" if chance < 0.01 else f"at most {100 * chance:.0f}"
    return f" Underpowered: were the effects the paper's, such data would reproduce them in {share} % of the cases."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


# --- comparisons of runs ---------------------------------------------------------------------------------------------


def tested(
    name: str,
    unit: str,
    direction: str,
    values: NDArray[np.float64],
    smallest: float,
    reported: float = nan,
    within: tuple[float, float] | None = None,
    room: tuple[float, float] | None = None,
) -> Comparison:
    """The comparison of an effect's values, shape (seeds, problems), with what its direction claims.

    ``within`` is the range that the values cannot leave, ``room`` the effects that the baseline leaves room for, if
    there are any.
    """
    interval = crossed_interval(values, within=within)
    sign, bound = (1, ">") if direction in UPWARDS else (-1, "<")
    limit = smallest * MARGINS[direction]
    above, below = one_sided_p(interval, limit), one_sided_p(interval, limit, "less")
    holds, fails = (above, below) if sign > 0 else (below, above)
    too_small = nan
    if limit == 0 and sign * reported >= smallest:
        too_small = one_sided_p(interval, sign * smallest, "less" if sign > 0 else "greater")
    headroom = None
    if room is not None and MARGINS[direction] * sign >= 0 and not isnan(reported):
        headroom = room[0] - ROUNDING <= reported if sign < 0 else reported <= room[1] + ROUNDING
    shape = {"n_seeds": values.shape[0], "n_problems": values.shape[1], "headroom": headroom}
    wanted, lead = f"{bound} {limit:g}", sign * (reported - limit)
    return Comparison(name, unit, wanted, interval.mean, holds, fails, interval, too_small, reported, lead, **shape)


ROUNDING = 1e-9

# Direction -> where the effect has to lie beyond, in smallest effects of interest; which ones ask for an effect above.
MARGINS = {"greater": 0, "less": 0, "not_greater": 1, "not_less": -1, "clearly_greater": 1}
UPWARDS = ("greater", "not_less", "clearly_greater")


def contrast(result: dict, coefficients: dict[tuple[str, int], float]) -> dict:
    """A linear combination of an experiment's cells, as arguments of ``tested``, in points or reward units.

    values, shape (seeds, problems); reported, the paper's, NaN unless it reports every cell; within, the range that
    the values cannot leave, None of rewards; room, the least and the largest effect that the baseline leaves room for:
    with the other arms between it and the metric's end, all of them, None where that end is not known.

    Args:
        result: of an experiment that compares runs.
        coefficients: (arm, k) -> coefficient; over the arms of a k they add to 0, so that the paper's differences from
            the baseline do for values that it does not print.
    """
    problems, metric = result["problems"], result["problems"]["metric"].iloc[0]
    summary = result["summary"][result["summary"]["metric"] == metric].set_index(["arm", "k"])
    values, reported = 0.0, 0.0
    for (arm, k), coefficient in coefficients.items():
        row = summary.loc[(arm, k)]
        values = values + coefficient * seeds_by_problems(problems[problems["k"] == k], arm)
        reported += 0.0 if arm == row["baseline"] else coefficient * row["reported_difference"]
    within = None
    if RANGES[metric] is not None:
        ends = SCALES[metric] * np.outer(list(coefficients.values()), RANGES[metric])
        within = (float(ends.min(axis=1).sum()), float(ends.max(axis=1).sum()))
    ends = result.get("range")
    if ends is None and RANGES[metric] is not None:
        ends = SCALES[metric] * np.array(RANGES[metric])
    room = None
    if ends is not None:
        baseline = summary["baseline"].iloc[0]
        means = problems[problems["arm"] == baseline].groupby("k")["value"].mean()
        raised = [(c, SCALES[metric] * means[k]) for (arm, k), c in coefficients.items() if c > 0 and arm != baseline]
        room = tuple(float(sum(c * (end - level) for c, level in raised)) for end in ends)
    reported = round(float(SCALES[metric] * reported), 6)
    return {"values": SCALES[metric] * values, "reported": reported, "within": within, "room": room}


def budgets(part: dict, result: dict) -> list[int]:
    """The test budgets that a part looks at.

    Raises:
        NotTested: the preset does not measure one of them.
    """
    measured = [int(k) for k in result["problems"]["k"].unique()]
    wanted = measured if part["k"] == "all" else part["k"]
    missing = [k for k in wanted if k not in measured]
    if missing:
        raise NotTested(
            f"The preset measures k = {', '.join(map(str, measured))}, and not {', '.join(map(str, missing))}"
        )
    return wanted


def differences(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Of every objective from every one of ``over``, at every k."""
    labels = _labels(result)
    for k in budgets(part, result):
        for arm, over in _pairs(part):
            name = f"{labels[arm]} minus {labels[over]} at k = {k}"
            apart = contrast(result, {(arm, k): 1.0, (over, k): -1.0})
            yield tested(name, _unit(result), part["direction"], smallest=smallest, **apart)


def slopes_in_n(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Least-squares slope of the metric in log2 N, at every k."""
    labels, unit = _labels(result), f"{_unit(result)} per doubling of N"
    named = ", ".join(labels[arm] for arm in part["objectives"])
    for k in budgets(part, result):
        weights = slope_weights(part["objectives"].values())
        coefficients = {(arm, k): c for arm, c in zip(part["objectives"], weights, strict=True)}
        name = f"the slope over {named} at k = {k}"
        yield tested(name, unit, part["direction"], smallest=smallest, **contrast(result, coefficients))


def slopes_in_k(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Least-squares slope in log2 k of every objective's difference from every one of ``over``."""
    labels, unit, ks = _labels(result), f"{_unit(result)} per doubling of k", budgets(part, result)
    if len(ks) < 2:
        raise NotTested(f"The preset measures k = {ks[0]} alone, which has no slope")
    for arm, over in _pairs(part):
        weights = dict(zip(ks, slope_weights(ks), strict=True))
        signed = {(arm, k): c for k, c in weights.items()} | {(over, k): -c for k, c in weights.items()}
        name = f"the slope of {labels[arm]} minus {labels[over]} over k = {', '.join(map(str, ks))}"
        yield tested(name, unit, part["direction"], smallest=smallest, **contrast(result, signed))


def slope_weights(budgets: Sequence[int]) -> NDArray[np.float64]:
    """Coefficients that give the least-squares slope of values at some budgets in their log2; they add to 0."""
    x = np.log2(list(budgets))
    return (x - x.mean()) / ((x - x.mean()) ** 2).sum()


def shares_of_samples(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Difference of the shares of samples whose hydrophobic fraction lies in a range; invalid samples do not."""
    labels, shares, paper = _labels(result), _shares(part, result), part.get("reported", {})
    for arm, over in _pairs(part):
        reported = paper.get(arm, nan) - paper.get(over, nan)
        name = f"{_of_samples(part)}, {labels[arm]} minus {labels[over]},"
        apart, level = shares[arm] - shares[over], float(shares[over].mean())
        room = (-level, 100 - level)
        yield tested(name, "points", part["direction"], apart, smallest, reported, (-100.0, 100.0), room)


def bounded_shares_of_samples(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Share of the samples of every objective whose hydrophobic fraction lies in a range, against a bound (percent)."""
    labels, shares, paper = _labels(result), _shares(part, result), part.get("reported", {})
    for arm in part["objectives"]:
        name, reported = f"{_of_samples(part)}, {labels[arm]},", paper.get(arm, nan)
        yield tested(name, "points", "not_greater", shares[arm], part["below"], reported, within=(0.0, 100.0))


def _shares(part: dict, result: dict) -> dict[str, NDArray[np.float64]]:
    """Per arm the share of a seed's samples in the range, percent, shape (seeds, 1)."""
    return {
        arm: np.array([[100 * fractions.between(*part["between"]).mean()] for fractions in by_seed])
        for arm, by_seed in result["hydrophobic"].items()
    }


def _of_samples(part: dict) -> str:
    low, high = part["between"]
    return f"the share of samples with h from {low:g} to {high:g}"


def gains_by_alignment(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Each gain at a training's own budget, k = N, minus that of the next better aligned baseline.

    The ranks agree if the gain over the baseline rises as the alignment of the baseline's weights with Pass@N falls.
    """
    rows = result["alignment"]
    alignment = rows[rows["train"] == part["train"]].set_index("test")["alignment"]
    order = sorted(part["objectives"], key=lambda arm: -alignment[arm])
    labels, (over,) = _labels(result), part["over"]
    gains = {arm: f"{labels[arm]} minus {labels[over]} at k = {n}" for arm, n in part["objectives"].items()}
    budgets({"k": list(part["objectives"].values())}, result)
    for before, after in zip(order, order[1:], strict=False):
        old, new = part["objectives"][before], part["objectives"][after]
        signed = {(after, new): 1.0, (over, new): -1.0, (before, old): -1.0, (over, old): 1.0}
        name = f"what {gains[after]} exceeds {gains[before]} by, as the alignment falls,"
        yield tested(name, _unit(result), "greater", smallest=smallest, **contrast(result, signed))


def _pairs(part: dict) -> list[tuple[str, str]]:
    return [(arm, over) for arm in part["objectives"] for over in part["over"]]


def _labels(result: dict) -> dict[str, str]:
    return dict(zip(result["summary"]["arm"], result["summary"]["label"], strict=True))


def _baseline(result: dict) -> str:
    return _labels(result)[result["summary"]["baseline"].iloc[0]]


def _unit(result: dict) -> str:
    return DIFFERENCE_UNITS[result["problems"]["metric"].iloc[0]]


# --- the diagonal approximation and the closed forms -----------------------------------------------------------------


def exact(name: str, unit: str, wanted: str, effect: float, holds: bool, reported: float = nan) -> Comparison:
    """The comparison of a number without error.

    Raises:
        NotTested: there is no such number.
    """
    if isnan(effect):
        raise NotTested(f"There is nothing to compute {name} from")
    return Comparison(name, unit, wanted, effect, float(not holds), float(holds), reported=reported)


def rho_share(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Share of a figure's pools with rho at least 1, of those that have a rho."""
    row = _rho(part, result)
    share, reported = 100 * row["share_at_least_one"], row["reported_share_at_least_one"]
    yield exact("the share of pools with rho >= 1", "%", "100", share, bool(share == 100), 100 * reported)


def rho_mean(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Mean over seeds of the mean rho of a seed's pools that have one, minus 1; of one seed over its problems."""
    row = _rho(part, result)
    ratios = result["ratios"]
    defined = ratios[ratios["figure"] == part["figure"]].dropna(subset=["rho"])
    by_seed = defined.groupby("seed")["rho"]
    values = by_seed.mean().to_numpy()[:, None] if len(by_seed) > 1 else defined["rho"].to_numpy()[None, :]
    counts = sorted(by_seed.size())
    pools = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    name = f"the mean of rho over the pools that have one ({pools} per seed)"
    found = tested(name, "above 1", "not_greater", values - 1, smallest, row["reported_mean"] - 1)
    yield replace(found, note=DECIDED_BY_P[row["strategy"]], n_problems=None if len(by_seed) > 1 else values.size)


# What rho says of a model, by strategy.
DECIDED_BY_P = {
    "majority": "where rho is a function of the answers' shares and grows with the winner's, so that these decide it",
    "best_of_n": "where rho is (1-p)^-(N-1), p the share of right samples, so that p decides it",
}


def _rho(part: dict, result: dict) -> pd.Series:
    row = result["rho"].set_index("figure").loc[part["figure"]]
    if isnan(row["share_at_least_one"]):
        raise NotTested("No pool has a rho: either no sample is right or every one is")
    return row


def proportional_decay(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Under proportional decay: the distance of exact gradient and diagonal / rho, over the diagonal's length."""
    worst = result["theorem3"]["decay_deviation"].max()
    name = "under proportional decay the largest distance of the exact gradient from diagonal / rho"
    yield exact(name, "of its length", f"< {smallest:g}", worst, worst < smallest)


def flips(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Share of random answer sets on which diagonal and exact gradient of a softmax point against each other."""
    for _, row in result["theorem3"][result["theorem3"]["strategy"] == part["strategy"]].iterrows():
        name = f"the share of flipped gradients of a softmax ({row['strategy']}, target {row['target']})"
        yield exact(name, "% of answer sets", "0", 100 * row["share_flipped"], row["share_flipped"] == 0)


def mean_weight(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Largest distance from 1 of a batch's mean normalised weight."""
    worst = result["normalisation"]["mean_deviation"].max()
    yield exact("the mean normalised weight of a batch", "from 1", f"< {EXACT:g}", worst, worst < EXACT)


EXACT = 1e-9  # rounding of float64, for statements that a number is another one


def cancels_within_prompt(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Largest distance from GRPO's of an advantage whose weight is shared by its prompt and divided by its mean."""
    table = result["within_prompt"]
    worst = table.loc[~table["strategy"].str.startswith("best_of"), "advantage_deviation"].max()
    name = "the weighted advantage within one prompt"
    yield exact(name, "from GRPO's", f"< {EXACT:g}", worst, worst < EXACT)


def step_size(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Largest change of the length of the normalised gradient from a strategy's smallest N to its largest, percent."""
    table = result["normalisation"]
    table = table.assign(n=table["strategy"].map(_budget), family=table["strategy"].str.split("_").str[0])
    changes = {}
    for (family, prompts, batch), group in table.groupby(["family", "prompts", "batch"], sort=False):
        lengths = group.set_index("n")["normalised"]
        first, last = lengths.index.min(), lengths.index.max()
        where = f"from N = {first} to {last} ({family}, {prompts} prompts, batches of {batch})"
        changes[where] = 100 * (lengths[last] / lengths[first] - 1)
    where = max(changes, key=lambda key: abs(changes[key]))
    name = f"the change of the gradient's length {where}"
    yield exact(name, "%", f"within ±{smallest:g}", changes[where], abs(changes[where]) < smallest)


def _budget(strategy: str) -> int:
    return int(re.search(r"_n(\d+)", strategy)[1])


def alignment_falls(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Change of the alignment from each tested strategy to the next."""
    rows = result["alignment"]
    rows = rows[rows["train"] == part["train"]].set_index("test").loc[part["test"]]
    for before, after in zip(part["test"], part["test"][1:], strict=False):
        steps = rows.loc[after, ["alignment", "reported"]] - rows.loc[before, ["alignment", "reported"]]
        labels = rows.loc[[before, after], "test_label"]
        name = f"the change of the alignment from {labels.iloc[0]} to {labels.iloc[1]}"
        yield exact(name, "of A", "< 0", steps["alignment"], steps["alignment"] < 0, steps["reported"])


def variance_ratio(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Largest ratio of the variances over all N and p."""
    worst = result["variance"]["ratio"].max()
    yield exact("the largest ratio of the variances", "(CAT over pivotal)", "<= 1", worst, worst <= 1)


FAR = 4  # standard errors


def variance_simulated(part: dict, result: dict, smallest: float) -> Iterator[Comparison]:
    """Largest distance of a simulated ratio from the computed one, standard errors."""
    table = result["variance"]
    worst = ((table["ratio_simulated"] - table["ratio"]).abs() / table["ratio_se"]).max()
    yield exact("the largest distance of a simulated ratio", "standard errors", f"< {FAR}", worst, worst < FAR)


PARTS = {
    "difference": differences,
    "slope_in_n": slopes_in_n,
    "slope_in_k": slopes_in_k,
    "share": shares_of_samples,
    "share_below": bounded_shares_of_samples,
    "gains_by_alignment": gains_by_alignment,
    "rho_share": rho_share,
    "rho_mean": rho_mean,
    "proportional_decay": proportional_decay,
    "flips": flips,
    "mean_weight": mean_weight,
    "cancels_within_prompt": cancels_within_prompt,
    "step_size": step_size,
    "alignment_falls": alignment_falls,
    "variance_ratio": variance_ratio,
    "variance_simulated": variance_simulated,
}
