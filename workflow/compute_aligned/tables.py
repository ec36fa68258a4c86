"""Tables of an experiment as CSV, Markdown and LaTeX: one row per objective, values in percent."""

import pandas as pd

METRIC_NAMES = {"pass": "Pass", "maj": "Maj"}


def wide_table(summary: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """One row per objective: per k the value, its interval, the paired difference and the paper's value, in percent.

    Args:
        summary: a ``summary`` artifact.
        weights: the ``weights`` artifact of the same experiment.
    """
    columns = ["value", "low", "high", "difference", "difference_low", "difference_high"]
    columns += ["reported", "reported_difference"]
    rows = []
    for (objective, label), group in summary.groupby(["objective", "label"], sort=False):
        row = {"objective": objective, "label": label}
        for _, cell in group.iterrows():
            name = f"{METRIC_NAMES[cell['metric']]}@{cell['k']}"
            row |= {name if c == "value" else f"{name} {c}": round(100 * cell[c], 4) for c in columns}
        rows.append(row)
    shown = ["objective", "weight_p05", "weight_p50", "weight_p95", "effective_share", "log_p_p50"]
    return pd.DataFrame(rows).merge(weights[shown], on="objective")


def markdown_table(summary: pd.DataFrame, weights: pd.DataFrame, caption: str) -> str:
    """Values, paired differences, the paper's values and the weights, one small table each."""
    ks = list(dict.fromkeys(summary["k"]))
    heads = [f"{METRIC_NAMES[summary['metric'].iloc[0]]}@{k}" for k in ks]
    baseline = summary.loc[summary["objective"] == summary["baseline"], "label"].iloc[0]

    def block(title: str, cell) -> list[str]:
        lines = [f"**{title}**", "", _row(["", *heads]), _row(["---", *["---:"] * len(ks)])]
        for label, group in summary.groupby("label", sort=False):
            lines.append(_row([label, *(cell(row) for _, row in group.iterrows())]))
        return [*lines, ""]

    lines = [caption, ""]
    lines += block("Measured, % [95 % interval]", lambda r: _interval(r["value"], r["low"], r["high"], signed=False))
    lines += block(
        f"Difference from {baseline}, points, paired by problem and seed [95 % interval]",
        lambda r: (
            "–"
            if r["objective"] == r["baseline"]
            else _interval(r["difference"], r["difference_low"], r["difference_high"], signed=True)
        ),
    )
    lines += block(
        f"Reported by the paper, % (difference from {baseline}, points)",
        lambda r: (
            "–" if pd.isna(r["reported"]) else f"{100 * r['reported']:.1f} ({100 * r['reported_difference']:+.1f})"
        ),
    )
    names = ["5 %", "median", "95 %", "effective share", "median log p"]
    lines += [
        "**Training weights: the factor on the gradient of cross-entropy, over all sequences**",
        "",
        _row(["", *names]),
        _row(["---", *["---:"] * len(names)]),
    ]
    for _, row in weights.iterrows():
        quantiles = [f"{row[f'weight_{q}']:.3g}" for q in ("p05", "p50", "p95")]
        lines.append(_row([row["label"], *quantiles, f"{row['effective_share']:.2f}", f"{row['log_p_p50']:.1f}"]))
    lines += [
        "",
        "Effective share: (Σw)² / (n Σw²); 1 means that all sequences pull alike, as under cross-entropy.",
        "",
    ]
    return "\n".join(lines)


def latex_table(summary: pd.DataFrame, caption: str) -> str:
    """A booktabs table: the value with its interval, below it the paired difference and the paper's difference."""
    ks = list(dict.fromkeys(summary["k"]))
    heads = " & ".join(f"{METRIC_NAMES[summary['metric'].iloc[0]]}@{k}" for k in ks)
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_escape(caption)} Small: difference from the baseline, in brackets the paper's.}}",
        rf"\begin{{tabular}}{{l{'c' * len(ks)}}}",
        r"\toprule",
        rf" & {heads} \\",
        r"\midrule",
    ]
    for label, group in summary.groupby("label", sort=False):
        cells, differences = [], []
        for _, row in group.iterrows():
            half = "" if pd.isna(row["low"]) else rf"$\,\pm\,${50 * (row['high'] - row['low']):.1f}"
            cells.append(f"{100 * row['value']:.1f}{half}")
            if row["objective"] == row["baseline"]:
                differences.append("")
                continue
            paper = "" if pd.isna(row["reported"]) else f" ({100 * row['reported_difference']:+.1f})"
            differences.append(rf"\scriptsize ${100 * row['difference']:+.1f}$ {paper}".rstrip())
        lines.append(rf"{_escape(label)} & {' & '.join(cells)} \\")
        if any(differences):
            lines.append(rf" & {' & '.join(differences)} \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def what_was_run(summary: pd.DataFrame, preset: str, split: str) -> str:
    """One sentence: preset, seeds, problems, samples, and what the intervals speak about."""
    row = summary.iloc[0]
    seeds = "1 seed" if row["n_seeds"] == 1 else f"{row['n_seeds']} seeds"
    return (
        f"Preset {preset}: {seeds}, {row['n_problems']} {split} problems, pools of {row['n_samples']} samples; "
        f"95 % intervals over {row['population']}."
    )


def _interval(value: float, low: float, high: float, signed: bool) -> str:
    sign = "+" if signed else ""
    if pd.isna(low):
        return f"{100 * value:{sign}.1f}"
    return f"{100 * value:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    for character in "%&_#":
        text = text.replace(character, f"\\{character}")
    return text
