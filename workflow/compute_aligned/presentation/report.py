"""What the report page says: pure functions from artifacts and manifests to plain values that its template lays out."""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup
from matplotlib import mathtext
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..provenance.manifests import Manifests, recorded_output
from ..units import DIFFERENCE_UNITS, SCALES, UNITS
from . import crossovers, numbers
from .numbers import typographic
from .rows import long_rows
from .tables.comparison import explanations, weights_view
from .wording import at_budget, baseline_label

# --- claims ----------------------------------------------------------------------------------------------------------

FOREST_WIDTH = 230  # pixels of a row's drawing
FOREST_MARGIN = 8
# An axis ends, and what lies beyond is an arrow, at so many times the size that this share of all numbers stay below.
OUTLIER, USUAL = 2.0, 0.9


@dataclass(frozen=True)
class Axis:
    """The axis that the effects of one unit share: its ends and ticks, in that unit."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Place of a value, in pixels from the left; a value beyond the axis is put at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(FOREST_MARGIN + share * (FOREST_WIDTH - 2 * FOREST_MARGIN), 1)

    def label(self, tick: float) -> str:
        """A tick's number."""
        return typographic(f"{tick:g}")


def forest_axis(rows: pd.DataFrame) -> Axis:
    """The axis for the claims of one unit: from the least to the greatest number, 0 and all but outliers among them.

    Args:
        rows: a ``claims`` artifact's rows of one unit.
    """
    numbers = rows[["effect", "low", "high", "reported"]].to_numpy(dtype=float).ravel()
    numbers = numbers[np.isfinite(numbers)]
    shown = numbers[np.abs(numbers) <= OUTLIER * np.quantile(np.abs(numbers), USUAL)]
    low, high = min(0.0, shown.min()), max(0.0, shown.max())
    if low == high:
        low, high = -1.0, 1.0
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return Axis(low, high, tuple(float(tick) for tick in ticks if low <= tick <= high))


def claims_in_order(claims: pd.DataFrame) -> tuple[list[dict], list[dict]]:
    """The claims as the file has them: those with a number, each on the axis that its unit shares, and the others.

    Args:
        claims: a ``claims`` artifact.

    Returns:
        records, in which an empty cell is None; those with a number have their ``axis`` with them.
    """
    measured = claims["effect"].notna() & claims["unit"].notna()
    axes = {unit: forest_axis(rows) for unit, rows in claims[measured].groupby("unit", sort=False)}
    return [row | {"axis": axes[row["unit"]]} for row in _records(claims[measured])], _records(claims[~measured])


def look_first(claims: pd.DataFrame) -> list[dict]:
    """The clearest claim of those that the runs support, and of those that they contradict: with the smallest p.

    Args:
        claims: a ``claims`` artifact.

    Returns:
        at most two records.
    """
    tested = claims[claims["p_holm"].notna()].sort_values("p_holm", kind="stable")
    clearest = [tested[tested["verdict"] == verdict].head(1) for verdict in ("reproduced", "contradicted")]
    return [row for rows in clearest for row in _records(rows)]


def claim_number(value: float | None, unit: str | None, sign: str = "+") -> str:
    """An effect as text; a dash where there is none."""
    return typographic(numbers.number(value, unit, sign))


# --- tables ----------------------------------------------------------------------------------------------------------


def comparison_table(summary: pd.DataFrame) -> dict:
    """Per arm and k the value, the paired difference and the paper's value, as text.

    Args:
        summary: a ``summary`` artifact.

    Returns:
        heads; rows (label, beyond_paper, cells); unit, difference_unit, baseline; reported, whether the paper has any
        value. A cell: value, interval, difference, difference_interval, excludes_0 (of the difference's interval),
        reported, reported_difference; None where there is nothing to say; arm and k, by which ``audit`` finds a number
        of the first metric.
    """
    metric = summary["metric"].iloc[0]
    shown = long_rows(summary)
    heads = shown[["metric", "k"]].drop_duplicates().itertuples(index=False)
    rows = []
    for (beyond, label), group in shown.groupby(["beyond_paper", "label"], sort=False):
        cells = [_cell(row) | _asked_by(row, metric) for row in _records(group)]
        rows.append({"label": label, "beyond_paper": beyond, "cells": cells})
    return {
        "heads": [at_budget(*head) for head in heads],
        "rows": rows,
        "unit": UNITS[metric],
        "difference_unit": DIFFERENCE_UNITS[metric],
        "baseline": baseline_label(summary),
        "reported": bool(summary[["reported", "reported_difference"]].notna().any(axis=None)),
    }


def _asked_by(row: dict, metric: str) -> dict:
    return {key: row[key] if row["metric"] == metric else None for key in ("arm", "k")}


def _cell(row: dict) -> dict:
    apart = DIFFERENCE_UNITS[row["metric"]]

    def number(column: str, unit: str, sign: str = "") -> str | None:
        return None if row[column] is None else typographic(numbers.number(row[column], unit, sign))

    def interval(low: str, high: str, unit: str, sign: str = "") -> str | None:
        return typographic(numbers.interval(row[low], row[high], unit, sign)) or None

    cell = {
        "value": number("value", row["unit"]),
        "interval": interval("low", "high", row["unit"]),
        "reported": number("reported", row["unit"]),
        "difference": None,
        "difference_interval": None,
        "reported_difference": None,
        "excludes_0": False,
    }
    if row["arm"] != row["baseline"]:
        cell["difference"] = number("difference", apart, "+")
        cell["difference_interval"] = interval("difference_low", "difference_high", apart, "+")
        cell["reported_difference"] = number("reported_difference", apart, "+")
        low, high = row["difference_low"], row["difference_high"]
        cell["excludes_0"] = low is not None and (low > 0 or high < 0)
    return cell


def token_table(tokens: pd.DataFrame) -> dict:
    """Per arm the tokens of an answer, the difference from the baseline at equal tokens for each k, and the crossover.

    Args:
        tokens: a ``tokens`` artifact.

    Returns:
        heads of the k; rows (label, tokens, interval, cells, crossover), all as text; baseline, difference_unit. A
        cell: tokens, difference, interval, excludes_0 (of the interval); None where there is nothing to say.
    """
    metric = tokens["metric"].iloc[0]
    unit, scale = DIFFERENCE_UNITS[metric], SCALES[metric]
    rows = []
    for label, of_arm in tokens.groupby("label", sort=False):
        first, cells = of_arm.iloc[0], []
        for row in _records(of_arm):
            ends = [None if row[name] is None else scale * row[name] for name in ("difference_low", "difference_high")]
            shown = None
            if row["arm"] != row["baseline"] and row["difference"] is not None:
                shown = typographic(numbers.number(scale * row["difference"], unit, "+"))
            cells.append(
                {
                    "tokens": crossovers.tokens(row["tokens"]),
                    "difference": shown,
                    "interval": typographic(numbers.interval(*ends, unit, "+")) or None,
                    "excludes_0": ends[0] is not None and (ends[0] > 0 or ends[1] < 0),
                }
            )
        # Of one answer: k answers cost k times as much.
        one, low, high = (
            crossovers.tokens(first[name] / first["k"]) for name in ("tokens", "tokens_low", "tokens_high")
        )
        interval = None if numbers.is_missing(first["tokens_low"]) else f"[{low}, {high}]"
        rows.append(
            {
                **{"label": label, "tokens": one, "interval": interval, "cells": cells},
                "crossover": crossovers.crossover(first) or numbers.NONE,
            }
        )
    return {
        "heads": [at_budget(metric, k) for k in dict.fromkeys(tokens["k"])],
        "rows": rows,
        "baseline": baseline_label(tokens),
        "difference_unit": unit,
    }


def weights_table(weights: pd.DataFrame) -> dict:
    """The distribution of the training weights of each arm, as text.

    Args:
        weights: a ``weights`` artifact.

    Returns:
        heads, rows (label, cells), and what the heads mean; columns that are empty for all arms are left out.
    """
    view = weights_view(weights)
    return {
        "heads": list(view),
        "rows": [{"label": label, "cells": [typographic(cell) for cell in cells]} for label, cells in view.iterrows()],
        "meanings": explanations(weights),
        "of_advantages": bool(weights["no_signal_share"].notna().any()),
    }


def plain_table(frame: pd.DataFrame) -> dict:
    """A table as it is: heads and rows of text; columns without a value are left out."""
    frame = frame.dropna(axis=1, how="all")
    rows = [[_text(value) for value in row.values()] for row in _records(frame)]
    return {"heads": [str(column).replace("_", " ") for column in frame], "rows": rows}


def _text(value) -> str:
    if value is None:
        return numbers.NONE
    return typographic(numbers.significant(value, 4)) if isinstance(value, float) else str(value)


def table_html(markdown: str) -> Markup:
    """A table of the pipeline's own Markdown as HTML, each grid in a box that scrolls, formulas drawn.

    The bold line above a grid becomes its caption; the first cell of a row is its head.
    """
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    html = re.sub(r"<p><strong>((?:(?!</p>).)*)</strong></p>\n<table>", r"<table><caption>\1</caption>", html)
    html = re.sub(r"<th(?=[ >])", '<th scope="col"', html)
    html = re.sub(r"<tr>\n<td([^>]*)>((?:(?!</td>).)*)</td>", r'<tr>\n<th scope="row"\1>\2</th>', html)
    html = re.sub(r"\$([^$]+)\$", lambda match: formula(match[1].replace("&amp;", "&")), html)
    return Markup(html.replace("<table>", '<div class="box"><table>').replace("</table>", "</table></div>"))


def formula(tex: str) -> str:
    """An image of a formula, black on nothing."""
    file = io.BytesIO()
    mathtext.math_to_image(f"${tex}$", file, prop=FontProperties(size=11), format="svg")
    return f'<img class="formula" alt="{tex}" src="{data_uri(file.getvalue(), "image/svg+xml")}">'


def picture(file: Path) -> dict:
    """A figure's picture as an address that needs no network, every pixel as it is, in half the space of its PNG.

    Returns:
        uri; width and height in pixels.
    """
    content = io.BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").save(content, "WEBP", lossless=True, quality=60)
        return {"uri": data_uri(content.getvalue(), "image/webp"), "width": image.width, "height": image.height}


def data_uri(content: bytes, media_type: str) -> str:
    """A file's content as an address that needs no network."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


# --- where it came from ----------------------------------------------------------------------------------------------


def costs(jobs: Sequence[dict], benchmarks: Path) -> list[dict]:
    """Per rule the number of jobs, their time and their largest memory, from Snakemake's benchmarks.

    Args:
        jobs: manifests.
        benchmarks: folder of the benchmarks.

    Returns:
        rule, jobs, seconds (sum), longest (s), memory (MB); in the order in which the rules first ran.
    """
    rows: dict[str, dict] = {}
    for job in sorted(jobs, key=lambda job: job["started"]):
        measured = _benchmark(job, benchmarks)
        row = rows.setdefault(
            job["rule"], {"rule": job["rule"], "jobs": 0, "seconds": 0.0, "longest": 0.0, "memory": 0.0}
        )
        row["jobs"] += 1
        row["seconds"] += measured["s"]
        row["longest"] = max(row["longest"], measured["s"])
        row["memory"] = max(row["memory"], measured["max_rss"])
    return list(rows.values())


def _benchmark(job: dict, benchmarks: Path) -> dict:
    """Wall time (s) and resident memory (MB) of a job; of the manifest, where its benchmark was deleted."""
    names = [f"seed{value}" if key == "seed" else str(value) for key, value in job["wildcards"].items()]
    stem = benchmarks.joinpath(job["rule"], *names)
    for file in (stem.with_name(f"{stem.name}.tsv"), stem / "seeds.tsv"):
        if file.is_file():
            row = pd.read_csv(file, sep="\t").iloc[0]
            return {"s": float(row["s"]), "max_rss": float(pd.to_numeric(row["max_rss"], errors="coerce") or 0)}
    seconds = (pd.Timestamp(job["ended"]) - pd.Timestamp(job["started"])).total_seconds()
    return {"s": seconds, "max_rss": job["peak_memory_bytes"] / 2**20}


def duration(seconds: float) -> str:
    """A time as text."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{seconds / 3600:.1f} h"


def origin(path: Path, manifests: Manifests) -> dict:
    """Where an artifact came from: path, hash, manifest, commit and time, as text.

    Args:
        path: the artifact.
        manifests: ``provenance.load_manifests``.
    """
    manifest = manifests[str(path)]
    return {
        "path": str(path),
        "sha256": recorded_output(manifest, str(path))["sha256"][:12],
        "manifest": str(manifests.files[str(path)]),
        "commit": commit(manifest),
        "ended": manifest["ended"][:16].replace("T", " "),
    }


def commit(manifest: dict) -> str:
    """The code version of a job, as text."""
    git = manifest["git"]
    if git is None:
        return "no git checkout"
    return f"{git['commit'][:12]}{' with changes' if git['dirty'] else ''}"


def environments(manifests: Iterable[dict]) -> dict[str, list[str]]:
    """What ran the jobs, without the machine's name: fact -> its values, the most frequent first."""
    facts = {"commit": [], "machine": [], "GPU": [], "Python": []}
    packages: dict[str, list[str]] = {}
    for manifest in manifests:
        facts["commit"].append(commit(manifest))
        facts["machine"].append(manifest["machine"])
        facts["GPU"].append(manifest["gpu"] or "none used")
        facts["Python"].append(manifest["python"])
        for name, version in manifest["packages"].items():
            packages.setdefault(name, []).append(version)
    found = {name: _by_frequency(values) for name, values in facts.items()}
    found["packages"] = [f"{name} {' / '.join(_by_frequency(versions))}" for name, versions in sorted(packages.items())]
    return found


def _by_frequency(values: list[str]) -> list[str]:
    return list(pd.Series(values).value_counts().index)


def _records(frame: pd.DataFrame) -> list[dict]:
    """Rows as dicts of plain values, None where a cell is empty."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


# --- names and settings ----------------------------------------------------------------------------------------------


def item_names(items: Sequence[str]) -> str:
    """The names of tables and figures in one line; of many figures the first and the last."""
    names = [item_name(item) for item in items]
    figures = [name.removeprefix("Figure ") for name in names if name.startswith("Figure ")]
    if len(figures) < 2:
        return ", ".join(names)
    shown = ", ".join(figures) if len(figures) < 4 else f"{figures[0]} to {figures[-1]}"
    return ", ".join([*(name for name in names if not name.startswith("Figure ")), f"Figures {shown}"])


def item_name(item: str) -> str:
    """A table's or figure's name as text: ``fig3`` is Figure 3 of the paper."""
    number = re.fullmatch(r"(table|fig)(\d+)", item)
    if number is None:
        return item.replace("_", " ")
    return f"{'Table' if number[1] == 'table' else 'Figure'} {number[2]}"


def described(entries: dict[str, dict], rule: str, jobs: Sequence[dict]) -> dict[str, list[str]]:
    """What a preset says of its models or data, and the revision that was read where it names a hub.

    Args:
        entries: name -> settings.
        rule: the rule that reads them, whose one wildcard is the name.
        jobs: manifests.

    Returns:
        name -> settings as text; those of no job are left out.
    """
    read = {list(job["wildcards"].values())[0]: job["facts"]["source"] for job in jobs if job["rule"] == rule}
    described = {name: list(_flat(entry)) for name, entry in entries.items() if name in read}
    for name, source in read.items():
        if "revision" in source:
            described[name].append(f"commit read {source['revision']}")
    return described


def _flat(settings: dict, prefix: str = "") -> Iterable[str]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} {value}"
