"""Curves that the report page draws by itself, so that a reader can point at them: from artifacts to plain values.

Places are in units of a drawing of WIDTH by HEIGHT; each curve's exact values come with it as text.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from ..units import SCALES, UNITS
from . import numbers
from .numbers import typographic
from .wording import at_budget

WIDTH, HEIGHT = 310, 175
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 8, 24  # margins
POINTS = 20  # of a curve over more steps, each the mean of as many steps
# Kind of training record -> its columns that are shown, and what each is.
RECORDED = {
    "training": {
        "weight": "weight of an example, mean",
        "log_p": "log p of the target, mean (nats)",
    },
    "rl_training": {
        "reward": "reward, mean",
        "weight_p50": "weight on the advantage, median",
        "log_p_p50": "log p of a completion, median (nats)",
        "kl": "KL to the start (nats per token)",
    },
}
# Value, lowest and highest of one model at each place of an axis.
Curve = tuple[np.ndarray, np.ndarray, np.ndarray]


def over_its_steps(record: pd.DataFrame, kind: str) -> pd.DataFrame:
    """What is shown of a run's training record, a row per optimiser step: the mean over the step's rows.

    Args:
        record: a ``training`` or ``rl_training`` artifact.
        kind: which of both.
    """
    return record.groupby("step")[list(RECORDED[kind])].mean()


def training_panels(runs: Mapping[str, Sequence[pd.DataFrame]], kind: str) -> list[dict]:
    """A panel for each number that the runs of some models record, over their optimiser steps.

    Args:
        runs: model -> its runs, one per seed (``over_its_steps``).
        kind: of the records.

    Returns:
        panels (``drawn``), each curve the mean over seeds, its range from the lowest to the highest seed.
    """
    n_steps = max(frame.index.max() for frames in runs.values() for frame in frames)
    size = -(-int(n_steps) // POINTS)
    firsts = range(1, int(n_steps) + 1, size)
    lasts = [min(first + size - 1, int(n_steps)) for first in firsts]
    heads = [str(last) if size == 1 else f"{first} to {last}" for first, last in zip(firsts, lasts, strict=True)]
    middles = [(first + last) / 2 for first, last in zip(firsts, lasts, strict=True)]
    ticks = [(tick, f"{tick:.0f}") for tick in MaxNLocator(nbins=5, integer=True).tick_values(1, int(n_steps))]
    panels = []
    for column, title in RECORDED[kind].items():
        of_models = {
            label: [
                frame[column].groupby((frame.index - 1) // size).mean().reindex(range(len(firsts))) for frame in frames
            ]
            for label, frames in runs.items()
        }
        of_seeds = {label: np.array(values, dtype=float) for label, values in of_models.items()}
        if all(np.isnan(values).all() for values in of_seeds.values()):
            continue
        with np.errstate(all="ignore"):
            curves = {
                label: tuple(getattr(pd.DataFrame(values), how)().to_numpy() for how in ("mean", "min", "max"))
                for label, values in of_seeds.items()
            }
        panels.append(drawn(title, "step", heads, middles, ticks, curves, None))
    return panels


def result_panel(summary: pd.DataFrame) -> dict:
    """The value of each model at each test budget, on a logarithmic axis, with its 95 % interval as range.

    Args:
        summary: a ``summary`` artifact.
    """
    metric = summary["metric"].iloc[0]
    rows = summary[summary["metric"] == metric]
    ks = sorted(rows["k"].unique())
    curves = {}
    for label, of_model in rows.groupby("label", sort=False):
        values = SCALES[metric] * of_model.set_index("k").reindex(ks)[["value", "low", "high"]].astype(float)
        curves[label] = tuple(values[column].to_numpy() for column in ("value", "low", "high"))
    places = [float(np.log2(k)) for k in ks]
    ticks = [(place, str(k)) for place, k in zip(places, ks, strict=True)]
    title = f"{at_budget(metric, 1).removesuffix('1')}k ({UNITS[metric]})"
    return drawn(title, "k", [str(k) for k in ks], places, ticks, curves, UNITS[metric])


def drawn(
    title: str,
    along: str,
    heads: Sequence[str],
    middles: Sequence[float],
    ticks: Sequence[tuple[float, str]],
    curves: Mapping[str, Curve],
    unit: str | None,
) -> dict:
    """Where each line, band and tick of a panel lies, and its values as text.

    Args:
        title: what is drawn.
        along: what the horizontal axis counts.
        heads: name of each place on it.
        middles: where each lies on it.
        ticks: where numbers stand on it, and these.
        curves: model -> value, lowest and highest at each place; NaN where there is none.
        unit: how values are written; None: with three digits.

    Returns:
        title, along, heads, places (horizontal), x_ticks and y_ticks (place, text), curves: label,
        style (a number, the model's in all panels), line and band (paths of SVG), cells (text for each place).
    """
    known = np.concatenate([side[np.isfinite(side)] for curve in curves.values() for side in curve])
    marks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(*_apart(known.min(), known.max()))
    bottom, top = marks[0], marks[-1]
    left, right = _apart(min(middles), max(middles))

    def x(value: float) -> float:
        return round(LEFT + (value - left) / (right - left) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (top - value) / (top - bottom) * (HEIGHT - TOP - BOTTOM), 1)

    def points(values: np.ndarray) -> list[str]:
        return [f"{x(at)} {y(value)}" for at, value in zip(middles, values, strict=True) if np.isfinite(value)]

    def text(value: float) -> str:
        return numbers.significant(value) if unit is None else numbers.number(value, unit)

    def cell(value: float, low: float, high: float) -> str:
        ends = "" if np.isnan(value) or np.isnan(low) or low == high else f" [{text(low)}, {text(high)}]"
        return typographic(text(value) + ends)

    return {
        "title": title,
        "along": along,
        "heads": list(heads),
        "places": [x(middle) for middle in middles],
        "x_ticks": [(x(tick), label) for tick, label in ticks if left <= tick <= right],
        "y_ticks": [(y(mark), typographic(f"{mark:g}")) for mark in marks],
        "curves": [
            {
                "label": label,
                "style": style,
                "line": "M" + "L".join(points(values)),
                "band": f"M{'L'.join(points(low) + points(high)[::-1])}Z" if np.isfinite(low).any() else None,
                "cells": [cell(*of_place) for of_place in zip(values, low, high, strict=True)],
            }
            for style, (label, (values, low, high)) in enumerate(curves.items())
            if np.isfinite(values).any()
        ],
    }


def _apart(low: float, high: float) -> tuple[float, float]:
    """Two ends of an axis, which are not one."""
    return (low, high) if low < high else (low - 0.5, high + 0.5)
