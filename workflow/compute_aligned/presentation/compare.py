"""Hold a run against another one, or against the paper's published values, item by item.

`python -m compute_aligned compare results/tiny` compares with `results/reference/tiny`;
`python -m compute_aligned compare results/tiny --published` with the values of `config/reported.csv`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, inf, isclose, isnan, nan
from pathlib import Path

import pandas as pd

from ..provenance.artifacts import SCHEMAS, read_artifact
from ..provenance.manifests import readable_manifests
from ..units import METRIC_NAMES, SCALES
from .numbers import significant

REPORTED = SCHEMAS.parents[2] / "config" / "reported.csv"
# An item's verdict is the last of these that one of its numbers has.
VERDICTS = ("not reported", "equal", "not judged", "within intervals", "different", "missing")
FAILURES = ("different", "missing")
RULE = """\
equal: to 9 digits, intervals too. within intervals: |a - b| <= sqrt(h_a^2 + h_b^2), h half of a 95 % interval.
not judged: estimates or data that are not equal, without an interval."""
PUBLISHED_RULE = """\
within intervals: the paper's value lies in the run's 95 % interval; in closed form: is the run's value, rounded.
The paper's values have no interval. not judged: the run's have none either."""
# Kind of a metrics file -> what tells its rows apart, and whether its numbers are estimates.
KINDS = {
    "summary": (["arm", "at"], True),
    "tokens": (["arm", "k"], True),
    "rho": (["figure"], True),
    "alignment": (["train", "test"], False),
    "variance": (["n", "p"], False),
    "normalisation": (["strategy", "prompts", "batch"], False),
    "within_prompt": (["strategy", "group"], False),
}
# Columns of estimates in a summary -> the ends of their intervals.
INTERVALS = {"value": ("low", "high"), "difference": ("difference_low", "difference_high")}
COSTS = {"tokens": ("tokens_low", "tokens_high")}  # of what answers cost
# Kind of a metrics file -> the columns that the paper has values of, and where these stand.
PAPER = {
    "summary": {"value": "reported", "difference": "reported_difference"},
    "alignment": {"alignment": "reported"},
    "rho": {name: f"reported_{name}" for name in ("mean", "median", "min", "max", "share_at_least_one")},
}
ALIGNMENT_DECIMALS = 3  # that the paper prints (App. G)
SHOWN = 5  # numbers that are listed per item, the farthest first


@dataclass(frozen=True)
class Number:
    """A number, half of its 95 % interval (NaN: none), and whether it is an estimate or computed without a model."""

    value: float
    half: float = nan
    estimate: bool = True

    def __str__(self) -> str:
        return significant(self.value, 4) + ("" if isnan(self.half) else f" ± {significant(self.half, 2)}")


@dataclass(frozen=True)
class Comparison:
    """What both sides say under one name; distance orders the numbers that differ."""

    name: str
    own: str
    other: str
    verdict: str
    distance: float = 0.0


@dataclass(frozen=True)
class Item:
    """A table, a figure, the claims, or in the comparison with the paper an experiment."""

    name: str
    comparisons: list[Comparison]

    @property
    def verdict(self) -> str:
        return max((comparison.verdict for comparison in self.comparisons), key=VERDICTS.index)


# --- the rule --------------------------------------------------------------------------------------------------------


def agreement(own: Number, other: Number) -> str:
    """The verdict on two numbers.

    For two intervals it is that of a difference of independent estimates: with half-widths h = 1.96 se,
    |a - b| <= 1.96 sqrt(se_a^2 + se_b^2) is |a - b| <= sqrt(h_a^2 + h_b^2). Where one side has no interval, its value
    must lie in the other's.
    """
    same_half = (isnan(own.half) and isnan(other.half)) or isclose(own.half, other.half, rel_tol=1e-9, abs_tol=1e-12)
    if isclose(own.value, other.value, rel_tol=1e-9, abs_tol=1e-12) and same_half:
        return "equal"
    halves = [half for half in (own.half, other.half) if not isnan(half)]
    if not halves and own.estimate:
        return "not judged"
    return "within intervals" if abs(own.value - other.value) <= hypot(*halves) else "different"


def compare_numbers(own: dict[str, Number], other: dict[str, Number]) -> list[Comparison]:
    """The verdict on each number that one of two sides has."""
    comparisons = []
    for name in dict.fromkeys([*own, *other]):
        a, b = own.get(name), other.get(name)
        if a is None or b is None:
            comparisons.append(Comparison(name, str(a or "missing"), str(b or "missing"), "missing", inf))
            continue
        half = hypot(*(0.0 if isnan(number.half) else number.half for number in (a, b)))
        apart = abs(a.value - b.value)
        # In units of what the intervals allow, or of the larger number.
        scale = half or max(abs(a.value), abs(b.value)) or 1.0
        comparisons.append(Comparison(name, str(a), str(b), agreement(a, b), apart / scale))
    return comparisons


# --- the numbers of a file -------------------------------------------------------------------------------------------


def table_numbers(path: Path) -> dict[str, Number]:
    """The numbers of a table's CSV by row; not the paper's values that stand in it, too."""
    table = _read_csv(path)
    if "strategy" in table:  # in closed form
        return _numbers(table, path, ["strategy", "form", "p"], ["value"], {}, False)
    _require(table, path, ["experiment", "arm"])
    table = _with_places(table, path).drop(columns="metric")  # by which a summary's numbers would be scaled
    return _numbers(table, path, ["experiment", "arm", "at"], INTERVALS, INTERVALS, True)


def metrics_numbers(path: Path) -> dict[str, Number]:
    """The numbers of a metrics file by row and column: shares in percent, rewards and closed forms as they are."""
    frame = _read_metrics(path)
    rows, estimate = KINDS[_kind(path)]
    if _kind(path) == "summary":
        return _numbers(frame, path, rows, INTERVALS, INTERVALS, estimate)
    if _kind(path) == "tokens":
        apart = {"difference": INTERVALS["difference"]}
        return _numbers(frame.drop(columns="metric"), path, rows, COSTS, COSTS, estimate) | _numbers(
            frame, path, rows, apart, apart, estimate
        )
    numeric = frame.select_dtypes("number").columns
    columns = [column for column in numeric if column not in rows and not column.startswith(("reported", "n_"))]
    return _numbers(frame, path, rows, columns, {}, estimate)


def paper_numbers(path: Path) -> tuple[dict[str, Number], dict[str, Number]]:
    """Of a metrics file the numbers that the paper could have, and those that it has, under the same names."""
    frame, kind = _read_metrics(path), _kind(path)
    (rows, estimate), columns = KINDS[kind], PAPER[kind]
    _require(frame, path, [*columns, *columns.values()])
    theirs = frame.assign(**{column: frame[reported] for column, reported in columns.items()})
    if kind == "alignment":
        frame = frame.round({"alignment": ALIGNMENT_DECIMALS})
    own = _numbers(frame, path, rows, columns, INTERVALS if kind == "summary" else {}, estimate)
    paper = _numbers(theirs, path, rows, columns, {}, estimate)
    if kind == "summary":
        for row in frame[frame["arm"] == frame["baseline"]].itertuples():
            for numbers in (own, paper):
                numbers.pop(f"{row.arm} {row.at} difference", None)  # 0 by definition
    return own, paper


def _numbers(
    frame: pd.DataFrame,
    path: Path,
    rows: Sequence[str],
    columns: Iterable[str],
    intervals: Mapping[str, tuple[str, str]],
    estimate: bool,
) -> dict[str, Number]:
    """Row and column -> number; empty cells are left out.

    Args:
        frame: what stands in a file.
        path: the file, for messages.
        rows: columns that tell rows apart.
        columns: columns of numbers.
        intervals: column -> the columns of its interval's ends.
        estimate: as in ``Number``.
    """
    _require(frame, path, [*rows, *columns, *(bound for pair in intervals.values() for bound in pair)])
    numbers = {}
    for row, cells in zip(frame[rows].itertuples(index=False), frame.to_dict("records"), strict=True):
        name = " ".join(map(str, row))
        scale = SCALES.get(cells.get("metric"), 1)  # in a summary shares are fractions
        for column in columns:
            value = scale * _float(cells[column], path, name, column)
            if isnan(value):
                continue
            ends = [scale * _float(cells[end], path, name, end) for end in intervals.get(column, ())]
            half = max(ends[1] - value, value - ends[0]) if ends else nan  # a bound may have one side
            key = f"{name} {column}"
            if key in numbers:
                raise ValueError(f"{path}: two rows are {name!r}")
            numbers[key] = Number(value, half, estimate)
    return numbers


# --- items -----------------------------------------------------------------------------------------------------------


def compare_runs(own: Path, other: Path) -> list[Item]:
    """Each table, figure and the claims of two results folders, or of a results folder and a reference.

    A table is compared by its CSV (a table of closed forms also by the metrics that it prints beside it), a figure by
    what it was drawn from: metrics that both sides hold number by number, other data by the hash in the manifests.
    """
    jobs = [_jobs(root) for root in (own, other)]
    items = []
    for table in _names([own, other], "tables", ".csv"):
        paths = [root / "tables" / f"{table}.csv" for root in (own, other)]
        comparisons = _of_files(paths, table_numbers)
        if all(path.exists() for path in paths) and "strategy" in _read_csv(paths[0]):
            comparisons += _of_sources(own, other, [job.get(f"tables/{table}.csv") for job in jobs])
        items.append(Item(table, comparisons))
    for figure in _names([own, other], "figures", ".png"):
        paths = [root / "figures" / f"{figure}.png" for root in (own, other)]
        if not all(path.exists() for path in paths):
            items.append(Item(figure, [_missing(paths)]))
            continue
        sources = [job.get(f"figures/{figure}.png") for job in jobs]
        same_bytes = paths[0].read_bytes() == paths[1].read_bytes()
        if same_bytes or None in sources:
            items.append(Item(figure, [_of_content("picture", same_bytes)]))
        else:
            items.append(Item(figure, _of_sources(own, other, sources)))
    paths = [root / "claims.csv" for root in (own, other)]
    if any(path.exists() for path in paths):
        items.append(Item("claims", _of_claims(paths)))
    return items


def _of_files(paths: Sequence[Path], read: Callable[[Path], dict[str, Number]]) -> list[Comparison]:
    return compare_numbers(*map(read, paths)) if all(path.exists() for path in paths) else [_missing(paths)]


def _of_sources(own: Path, other: Path, sources: Sequence[dict[str, str] | None]) -> list[Comparison]:
    """What two jobs read, file by file."""
    comparisons = []
    here, there = (source or {} for source in sources)
    for name in dict.fromkeys([*here, *there]):
        paths = [root / name for root in (own, other)]
        if all(path.exists() for path in paths) and _kind(paths[0]) in KINDS:
            comparisons += compare_numbers(*map(metrics_numbers, paths))
        elif name in here and name in there:
            comparisons.append(_of_content(name, here[name] == there[name]))
        else:
            comparisons.append(
                Comparison(name, *("read" if name in side else "missing" for side in (here, there)), "missing", inf)
            )
    return comparisons


def _of_content(name: str, same: bool) -> Comparison:
    return Comparison(name, "its content", "the same" if same else "another one", "equal" if same else "not judged")


def _of_claims(paths: Sequence[Path]) -> list[Comparison]:
    """Claims by their verdicts."""
    if not all(path.exists() for path in paths):
        return [_missing(paths)]
    verdicts = []
    for path in paths:
        frame = _read_csv(path)
        _require(frame, path, ["claim", "verdict"])
        verdicts.append(dict(zip(frame["claim"], frame["verdict"], strict=True)))
    comparisons = []
    for claim in dict.fromkeys([*verdicts[0], *verdicts[1]]):
        own, other = (found.get(claim, "missing") for found in verdicts)
        differ = "missing" if "missing" in (own, other) else "different"
        comparisons.append(Comparison(claim, own, other, "equal" if own == other else differ, inf))
    return comparisons


def compare_with_paper(root: Path, reported: pd.DataFrame) -> list[Item]:
    """Values and differences of each experiment of a results folder, or a reference, beside the paper's.

    Args:
        root: the folder.
        reported: a ``reported`` artifact. The values themselves are taken from the run's metrics, where the pipeline
            has put each beside its own; those of experiments that the run lacks are named from here.
    """
    items, found = [], set()
    for path in sorted(path for kind in PAPER for path in (root / "metrics").glob(f"*.{kind}.csv")):
        experiment = path.name.split(".")[0]
        found.add(experiment)
        own, paper = paper_numbers(path)
        comparisons = [
            Comparison(name, str(number), "-", "not reported") for name, number in own.items() if name not in paper
        ]
        comparisons += compare_numbers({name: own[name] for name in paper}, paper)
        differences = [comparison for comparison in comparisons if comparison.name.endswith(" difference")]
        items.append(Item(experiment, [comparison for comparison in comparisons if comparison not in differences]))
        if differences:
            items.append(Item(f"{experiment}, differences", differences))
    for name, rows in reported.groupby("experiment", sort=False):
        if name not in found:
            items.append(Item(name, [Comparison("all of it", "missing", f"{len(rows)} values", "missing", inf)]))
    return items


# --- files -----------------------------------------------------------------------------------------------------------


def _names(roots: Sequence[Path], folder: str, ending: str) -> list[str]:
    """Names of the files of a folder on either side: table1, table2, ... table10."""
    names = {file.stem for root in roots for file in (root / folder).glob(f"*{ending}")}
    return sorted(names, key=lambda name: (len(name), name))


def _jobs(root: Path) -> dict[str, dict[str, str]]:
    """What each file was made from, by its path in the folder: path in the folder -> SHA-256."""
    published = root / "manifests.json"  # of a reference
    try:
        manifests = json.loads(published.read_text()) if published.exists() else readable_manifests(root).values()
    except json.JSONDecodeError as error:
        raise ValueError(f"{published}: a manifest is no JSON: {error}") from None

    def inside(path: str) -> str:
        return str(Path(*Path(path).parts[2:]))  # without results/<preset>

    return {
        inside(output["path"]): {inside(entry["path"]): entry["sha256"] for entry in manifest["inputs"]}
        for manifest in manifests
        for output in manifest["outputs"]
    }


def _kind(path: Path) -> str:
    """The kind of a metrics file: summary of math_sft_pass.summary.csv."""
    return path.name.split(".")[-2]


def _missing(paths: Sequence[Path]) -> Comparison:
    own, other = ("present" if path.exists() else "missing" for path in paths)
    return Comparison(paths[0].name, own, other, "missing", inf)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except ValueError as error:  # empty, ragged, or no text; pandas names no file
        raise ValueError(f"{path}: no CSV file: {str(error).strip()}") from None


def _read_metrics(path: Path) -> pd.DataFrame:
    """A metrics file; of a summary with metric and k in one column."""
    frame = _read_csv(path)
    if _kind(path) == "summary":
        _require(frame, path, ["arm", "baseline"])
        frame = _with_places(frame, path)
    return frame


def _with_places(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """With metric and k in one column, at: Pass@16; a number of the training has no k."""
    _require(frame, path, ["metric", "k"])
    places = zip(frame["metric"], frame["k"], strict=True)
    return frame.assign(
        at=[metric if pd.isna(k) else f"{METRIC_NAMES.get(metric, metric)}@{int(k)}" for metric, k in places]
    )


def _require(frame: pd.DataFrame, path: Path, columns: Iterable[str]) -> None:
    for column in columns:
        if column not in frame:
            raise ValueError(f"{path}: the column {column!r} is missing")


def _float(cell, path: Path, row: str, column: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{path}: {row}: column {column!r} holds {cell!r}, wanted a number") from None


# --- for the terminal ------------------------------------------------------------------------------------------------


def describe(items: Sequence[Item], everything: bool) -> str:
    """A line per item with the number of its verdicts, then what is different or missing.

    Args:
        items: what was compared.
        everything: whether to list each number that is not equal, in place of the farthest few.
    """
    shown = [v for v in VERDICTS if any(c.verdict == v for item in items for c in item.comparisons)]
    width = max(len(item.name) for item in items) + 2
    lines = [f"{'':{width}}{'verdict':18}" + "".join(f"  {verdict}" for verdict in shown)]
    for item in items:
        counts = {verdict: sum(c.verdict == verdict for c in item.comparisons) for verdict in shown}
        cells = "".join(f"  {count or '':>{len(verdict)}}" for verdict, count in counts.items())
        lines.append(f"{item.name:{width}}{item.verdict:18}{cells}".rstrip())
        if _is_absent(item):
            lines[-1] += f"  here {item.comparisons[0].own}, there {item.comparisons[0].other}"
    for item in (item for item in items if not _is_absent(item)):
        listed = [c for c in item.comparisons if c.verdict in (VERDICTS[2:] if everything else FAILURES)]
        listed.sort(key=lambda comparison: comparison.distance, reverse=True)
        cut = len(listed) if everything else SHOWN
        if listed:
            lines += ["", f"{item.name}:"]
            lines += [f"  {c.verdict}: {c.name}: here {c.own}, there {c.other}" for c in listed[:cut]]
        if len(listed) > cut:
            lines.append(f"  and {len(listed) - cut} more (--all lists them)")
    counts = [(verdict, sum(item.verdict == verdict for item in items)) for verdict in VERDICTS]
    return "\n".join([*lines, "", f"{len(items)} items: " + ", ".join(f"{n} {verdict}" for verdict, n in counts if n)])


def _is_absent(item: Item) -> bool:
    """Whether one side has nothing of it."""
    return [comparison.verdict for comparison in item.comparisons] == ["missing"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned compare", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a results folder")
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--reference", type=Path, help="another run or reference (results/reference/<preset>)")
    against.add_argument("--published", action="store_true", help="the paper's values instead")
    parser.add_argument("--all", action="store_true", help="list every number that is not equal")
    arguments = parser.parse_args()
    root = arguments.path
    reference = arguments.reference or root.parent / "reference" / root.name
    sides = {root: "`make reproduce` makes the run of a preset"}
    if not arguments.published:
        sides[reference] = "--reference names another one"
    for folder, advice in sides.items():
        if not (folder / "metrics").is_dir():
            raise ValueError(f"{folder}: no such folder of results, or no metrics in it; {advice}")
    if arguments.published:
        items, other, rule = compare_with_paper(root, read_artifact("reported", REPORTED)), "the paper", PUBLISHED_RULE
    else:
        items, other, rule = compare_runs(root, reference), reference, RULE
    if not items:
        raise ValueError(f"{root}: it holds nothing to compare with {other}")
    print(f"{root} (here) against {other} (there)\n{rule}\n\n{describe(items, arguments.all)}")
    return 1 if any(item.verdict in FAILURES for item in items) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"compare: {error}")
