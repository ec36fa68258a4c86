"""How often each claim gets each verdict where every objective equals its baseline, and where the paper's effects are
true: two tables in Markdown.

PYTHONPATH=workflow python benchmarks/verdicts.py [results/tiny]

Without a folder the variance components are those of variance.yaml, else those of the `*.problems.parquet` of that run
or reference, and a third table shows both. The summaries behind the paper's effects are those of the reference.
Preconditions are taken as met.
"""

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import yaml
from scipy import stats

from compute_aligned.analysis import claims as rules
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.statistics import crossed_interval, seeds_by_problems
from compute_aligned.units import SCALES

REPO = Path(__file__).parents[1]
REFERENCE = REPO / "results" / "reference" / "tiny" / "metrics"
SIMULATED = ("difference", "slope_in_n", "slope_in_k", "share", "share_below", "gains_by_alignment")
COMPONENTS = ("tau", "omega", "gamma")
REPETITIONS, SEEDS = 4000, (5, 20)


class Table:
    """An experiment's cells, (arm, k) and shares of samples: what a difference from the baseline varies by in each."""

    def __init__(self, name: str, entry: dict, correlation: float, share: float):
        self.summary = pd.read_csv(REFERENCE / f"{name}.summary.csv")
        self.summary = self.summary[self.summary["metric"] != "gain"]
        self.baseline, self.metric = self.summary["baseline"].iloc[0], self.summary["metric"].iloc[0]
        self.problems = entry["problems"]
        ks, arms = entry["k"], entry["arms"]
        self.cells = [(arm, k) for arm in arms for k in ks]
        sds = np.array([values for arm in arms for values in arms[arm]])
        between = correlation ** np.abs(np.subtract.outer(np.log2(ks), np.log2(ks)))
        # Half of a difference's variance is the baseline's, which all arms share.
        together = np.kron(0.5 * (1 + np.eye(len(arms))), between)
        self.covariances = [np.outer(sd, sd) * together for sd in sds.T]
        self.shares = []
        if self.metric == "bon" and self.problems == 1:  # of the arms themselves, the baseline among them
            self.shares = [(arm, "share") for arm in (self.baseline, *arms)]
            independent = share**2 / 2 * np.eye(len(self.shares))
            zero = np.zeros((len(self.cells), len(self.shares)))
            blocks = [independent, 0 * independent, 0 * independent]
            self.covariances = [
                np.block([[cov, zero], [zero.T, block]]) for cov, block in zip(self.covariances, blocks, strict=True)
            ]

    def comparisons(self, claim: dict, alignment: pd.DataFrame) -> list[dict]:
        """The comparisons of a claim, with their coefficients over the cells.

        The rules see one "seed" per cell, in which that cell is 1 and all others are 0: what they make of it is its
        coefficient.
        """
        cells = [*self.cells, *self.shares]
        ks = dict.fromkeys(k for _, k in self.cells)
        rows = [
            ("r", arm, seed, self.metric, k, "p", float(cell == (arm, k)) / SCALES[self.metric])
            for seed, cell in enumerate(cells)
            for arm in (self.baseline, *dict.fromkeys(arm for arm, _ in self.cells))
            for k in ks
        ]
        columns = ["recipe", "arm", "seed", "metric", "k", "problem_id", "value"]
        result = {"problems": pd.DataFrame(rows, columns=columns), "summary": self.summary, "alignment": alignment}
        inside, outside = pd.Series([0.75] * 1 + [0.0] * 99), pd.Series([0.0] * 100)  # a share of 1 %
        result["hydrophobic"] = {
            arm: [inside if cell == (arm, "share") else outside for cell in cells] for arm, _ in self.shares
        }
        found = []

        def record(name, unit, direction, values, smallest, reported=np.nan, within=None, room=None):
            sign = 1 if direction in rules.UPWARDS else -1
            found.append(
                {
                    "coefficients": values[:, 0],
                    "direction": direction,
                    "sign": sign,
                    "limit": smallest * rules.MARGINS[direction],
                    "smallest": smallest,
                    "reported": reported,
                }
            )

        with patch.object(rules, "tested", record):
            for part in claim["parts"]:
                # Each kind is a generator that yields what `tested` returned.
                list(rules.PARTS[part["kind"]](part, result, claim["smallest_effect"]["value"]))
        return found

    def shifts(self, share_of_paper: float, shares: dict[str, float]) -> np.ndarray:
        """The true value of each cell: the paper's difference times a share, between its k by their logarithm.

        0 for arms that the paper does not have.
        """
        paper = self.summary.dropna(subset=["reported_difference"])
        means = []
        for arm, k in self.cells:
            rows = paper[paper["arm"] == arm]
            at = np.interp(np.log2(k), np.log2(rows["k"]), rows["reported_difference"]) if len(rows) else 0.0
            means.append(share_of_paper * SCALES[self.metric] * at)
        base = shares.get(self.baseline, 0.0)
        means += [base + share_of_paper * (shares.get(arm, 0.0) - base) for arm, _ in self.shares]
        return np.array(means)


def simulate(
    rng: np.random.Generator, table: Table, coefficients: np.ndarray, true: np.ndarray, n_seeds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard error and degrees of freedom of each contrast as `crossed_interval` has them.

    Arrays of shape (repetitions, contrasts). Drawn are the mean squares, which in a balanced normal design are
    independent Wishart matrices, and the means, which are independent of these.
    """
    n, (tau, omega, gamma) = table.problems, table.covariances
    seeds, problems = n * tau + gamma, n_seeds * omega + gamma
    mean = _normal(rng, (seeds + problems - gamma) / (n * n_seeds), (REPETITIONS,)) + true
    mean = mean @ coefficients.T
    ms = _mean_squares(rng, seeds, n_seeds - 1, coefficients)
    if n == 1:
        return mean, np.sqrt(ms / n_seeds), np.full(ms.shape, n_seeds - 1.0)
    mp = _mean_squares(rng, problems, n - 1, coefficients)
    me = _mean_squares(rng, gamma, (n - 1) * (n_seeds - 1), coefficients)
    total = np.maximum.reduce([mp, ms, mp + ms - me])
    spread = mp**2 / (n - 1) + ms**2 / (n_seeds - 1) + me**2 / ((n - 1) * (n_seeds - 1))
    return mean, np.sqrt(total / (n * n_seeds)), np.maximum(total**2 / spread, min(n_seeds, n) - 1.0)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(0))


def _normal(rng: np.random.Generator, covariance: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=(*shape, len(covariance))) @ _root(covariance).T


def _mean_squares(rng: np.random.Generator, covariance: np.ndarray, df: int, coefficients: np.ndarray) -> np.ndarray:
    """Diagonal of a Wishart matrix of the contrasts over its degrees of freedom, shape (repetitions, contrasts)."""
    size, made = len(covariance), coefficients @ _root(covariance)
    if df < size:
        return ((rng.normal(size=(REPETITIONS, df, size)) @ made.T) ** 2).sum(axis=1) / df
    lower = np.tril(rng.normal(size=(REPETITIONS, size, size)), -1)  # Bartlett 1933
    lower[:, range(size), range(size)] = np.sqrt(rng.chisquare(df - np.arange(size), size=(REPETITIONS, size)))
    return ((made @ lower) ** 2).sum(axis=2) / df


def verdicts(settings: dict, tables: dict[str, Table], share_of_paper: float, n_seeds: int) -> tuple[dict, dict]:
    """Per claim its verdict in each repetition, and whether its statement is true of the means that were drawn from."""
    rng = np.random.default_rng(1)
    alignment = read_artifact("alignment", REFERENCE / "scaling_factors.alignment.csv")
    level, smalls, holds, fails, true = settings["level"], {}, {}, {}, {}
    for name, table in tables.items():
        found = {
            claim: table.comparisons(entry, alignment)
            for claim, entry in settings["claims"].items()
            if entry["experiment"] == name and entry["parts"][0]["kind"] in SIMULATED
        }
        compared = [comparison for claim in found for comparison in found[claim]]
        if not compared:
            continue
        paper = [part["reported"] for e in settings["claims"].values() for part in e["parts"] if "reported" in part]
        shift = table.shifts(share_of_paper, paper[0] if table.shares else {})
        coefficients = np.array([comparison["coefficients"] for comparison in compared])
        mean, se, df = simulate(rng, table, coefficients, shift, n_seeds)
        sign, limit, smallest, reported = (
            np.array([comparison[key] for comparison in compared]) for key in ("sign", "limit", "smallest", "reported")
        )
        above = stats.t.sf((mean - limit) / se, df)
        for_it = np.where(sign > 0, above, 1 - above)
        is_small = stats.t.cdf((sign * mean - smallest) / se, df)
        is_small = np.where((limit == 0) & (sign * reported >= smallest), is_small, np.nan)
        met = sign * (coefficients @ shift - limit) > 1e-12
        at = 0
        for claim, entries in found.items():
            here = slice(at, at := at + len(entries))
            holds[claim], true[claim] = for_it[:, here].max(axis=1), bool(met[here].all())
            fails[claim] = len(entries) * (1 - for_it[:, here]).min(axis=1)
            known = is_small[:, here][:, ~np.isnan(is_small[0, here])]
            smalls[claim] = known.shape[1] * known.min(axis=1) if known.size else np.full(REPETITIONS, np.nan)
    p = {claim: np.minimum(1, 2 * np.minimum(holds[claim], fails[claim])) for claim in holds}
    families = {claim: settings["claims"][claim]["family"] for claim in holds}
    p_holm = _holm(p, families)
    small_holm = _holm({claim: np.minimum(1, 2 * value) for claim, value in smalls.items()}, families)
    said = {}
    for claim in holds:
        clear, small = p_holm[claim] < level, small_holm[claim] < level
        right = holds[claim] < fails[claim]
        said[claim] = np.select(
            [clear & right & small, clear & right, clear | small],
            [rules.TOO_SMALL, rules.REPRODUCED, rules.CONTRADICTED],
            rules.INCONCLUSIVE,
        )
    return said, true


def _holm(p: dict[str, np.ndarray], families: dict[str, str]) -> dict[str, np.ndarray]:
    adjusted = {claim: np.full(REPETITIONS, np.nan) for claim in p}
    for family in dict.fromkeys(families.values()):
        members = [claim for claim in p if families[claim] == family and not np.isnan(p[claim]).any()]
        if members:
            values = np.array([p[claim] for claim in members])
            order = values.argsort(axis=0)
            times = np.arange(len(members), 0, -1)[:, None]
            rising = np.maximum.accumulate(np.minimum(1, times * np.take_along_axis(values, order, 0)), axis=0)
            back = np.empty_like(values)
            np.put_along_axis(back, order, rising, 0)
            adjusted |= dict(zip(members, back, strict=True))
    return adjusted


def measured(folder: Path) -> dict:
    """The content of variance.yaml's `experiments`, of a run's own metrics per problem."""
    experiments = {}
    for file in sorted((folder / "metrics").glob("*.problems.parquet")):
        frame, name = read_artifact("problem_metrics", file), file.name.split(".")[0]
        if not (REFERENCE / f"{name}.summary.csv").exists():
            continue
        baseline = pd.read_csv(REFERENCE / f"{name}.summary.csv")["baseline"].iloc[0]
        scale, ks = SCALES[frame["metric"].iloc[0]], [int(k) for k in frame["k"].unique()]
        arms = {}
        for arm in frame["arm"].unique():
            if arm != baseline:
                apart = [
                    scale * (seeds_by_problems(at, arm) - seeds_by_problems(at, baseline))
                    for at in (frame[frame["k"] == k] for k in ks)
                ]
                arms[arm] = [_components(values) for values in apart]
        experiments[name] = {"problems": frame["problem_id"].nunique(), "k": ks, "arms": arms}
    return experiments


def _components(values: np.ndarray) -> list[float]:
    if values.shape[1] == 1:
        return [float(values.std(ddof=1)), 0.0, 0.0]
    interval = crossed_interval(values)
    return [float(np.sqrt(getattr(interval, f"{name}2"))) for name in COMPONENTS]


def components_table(before: dict, after: dict) -> str:
    """Components of the differences of both, at the largest k, and the standard error they make with five seeds."""
    columns = [f"{name}, {when}" for when in ("before", "after") for name in ("problems", *COMPONENTS, "error")]
    lines = [f"| experiment | arm | k | {' | '.join(columns)} |", f"|---|---|---|{'---|' * len(columns)}"]
    for name in before.keys() & after.keys():
        for arm in before[name]["arms"].keys() & after[name]["arms"].keys():
            cells = []
            for entry in (before[name], after[name]):
                n, (tau, omega, gamma) = entry["problems"], entry["arms"][arm][-1]
                error = np.sqrt(tau**2 / SEEDS[0] + omega**2 / n + gamma**2 / (SEEDS[0] * n))
                cells += [f"{n}", *(f"{value:.3g}" for value in (tau, omega, gamma, error))]
            lines.append(f"| {name} | {arm} | {after[name]['k'][-1]} | {' | '.join(cells)} |")
    return "\n".join([*lines[:2], *sorted(lines[2:])])


def main() -> None:
    settings = yaml.safe_load((REPO / "config" / "claims.yaml").read_text())
    given = yaml.safe_load(Path(__file__).with_name("variance.yaml").read_text())
    experiments = measured(Path(sys.argv[1])) if len(sys.argv) > 1 else given["experiments"]
    tables = {name: Table(name, entry, given["correlation"], given["share"]) for name, entry in experiments.items()}
    nothing = {n: verdicts(settings, tables, 0.0, n) for n in SEEDS}
    paper = {n: verdicts(settings, tables, 1.0, n)[0] for n in SEEDS}

    def share(said: np.ndarray, verdict: str) -> str:
        return f"{100 * (said == verdict).mean():.0f}"

    heads = [f"{what}, {n} seeds" for n in SEEDS for what in ("reproduced", "contradicted", "power")]
    print(f"| claim | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for claim in [claim for claim in settings["claims"] if claim in nothing[SEEDS[0]][0]]:
        cells = []
        for n in SEEDS:
            said, true = nothing[n]
            cells += [share(said[claim], rules.REPRODUCED) + (" (true)" if true[claim] else "")]
            cells += [share(said[claim], rules.CONTRADICTED), share(paper[n][claim], rules.REPRODUCED)]
        print(f"| {claim} | {' | '.join(cells)} |")
    print(
        "\n| seeds | any false reproduced | any false contradicted | claims with power of a half |\n|---|---|---|---|"
    )
    for n in SEEDS:
        said, true = nothing[n]
        wrong = np.any([said[claim] == rules.REPRODUCED for claim in said if not true[claim]], axis=0).mean()
        denied = np.any([paper[n][claim] == rules.CONTRADICTED for claim in said], axis=0).mean()
        powerful = sum((paper[n][claim] == rules.REPRODUCED).mean() >= 0.5 for claim in said)
        print(f"| {n} | {100 * wrong:.1f} % | {100 * denied:.1f} % | {powerful} of {len(said)} |")
    if len(sys.argv) > 1:
        print(f"\n{components_table(given['experiments'], experiments)}")


if __name__ == "__main__":
    main()
