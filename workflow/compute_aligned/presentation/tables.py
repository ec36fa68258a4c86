"""Tables as CSV, Markdown and LaTeX: compared runs, one row per objective, in percent; weights of the strategies."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from ..units import DIFFERENCE_UNITS, METRIC_NAMES, SCALES, UNITS, digits
from .wording import NOT_IN_THE_PAPER, baseline_label


def wide_table(summary: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """One row per objective: per k the value, its interval, the paired difference and the paper's value, scaled.

    Args:
        summary: a ``summary`` artifact.
        weights: the ``weights`` artifact of the same experiment.
    """
    columns = ["value", "low", "high", "difference", "difference_low", "difference_high"]
    columns += ["reported", "reported_difference"]
    rows = []
    for (objective, label), group in summary.groupby(["objective", "label"], sort=False):
        row = {"experiment": group["experiment"].iloc[0], "objective": objective, "label": label}
        for _, cell in group.iterrows():
            name, scale = f"{METRIC_NAMES[cell['metric']]}@{cell['k']}", SCALES[cell["metric"]]
            row |= {name if c == "value" else f"{name} {c}": round(scale * cell[c], 4) for c in columns}
        rows.append(row)
    shown = weights.drop(columns=["label", "n_rows", "n_seeds"]).dropna(axis=1, how="all")
    return pd.DataFrame(rows).merge(shown, on="objective")


def markdown_table(summary: pd.DataFrame, weights: pd.DataFrame, caption: str) -> str:
    """Values, paired differences, the paper's values and the weights, one small table each."""
    heads, metric = _heads(summary), summary["metric"].iloc[0]
    baseline = baseline_label(summary)

    def block(title: str, cell) -> list[str]:
        lines = [f"**{title}**", "", _row(["", *heads]), _row(["---", *["---:"] * len(heads)])]
        rule = _row([f"*{NOT_IN_THE_PAPER}*", *[""] * len(heads)])
        for beyond, label, group in _objectives(summary):
            if beyond and rule not in lines:
                lines.append(rule)
            lines.append(_row([label, *(cell(row) for _, row in group.iterrows())]))
        return [*lines, ""]

    def of_paper(row: pd.Series) -> str:
        if pd.isna(row["reported"]) and pd.isna(row["reported_difference"]):
            return "–"
        value = "" if pd.isna(row["reported"]) else f"{_number_of(row, 'reported')} "
        return f"{value}({_number_of(row, 'reported_difference', '+')})"

    lines = [caption, ""]
    lines += block(f"Measured, {UNITS[metric]} [95 % interval]", lambda r: _interval(r, "value", "low", "high"))
    lines += block(
        f"Difference from {baseline}, {DIFFERENCE_UNITS[metric]}, paired by problem and seed [95 % interval]",
        lambda r: (
            "–"
            if r["objective"] == r["baseline"]
            else _interval(r, "difference", "difference_low", "difference_high", "+")
        ),
    )
    lines += block(
        f"Reported by the paper, {UNITS[metric]} (difference from {baseline}, {DIFFERENCE_UNITS[metric]})", of_paper
    )
    shown = [column for column in WEIGHT_COLUMNS if weights[column].notna().any()]
    lines += [
        "**Training weights: the factor on the gradient of cross-entropy, over all sequences**"
        if weights["no_signal_share"].isna().all()
        else "**Training weights: the factor on the advantage, over the completions of a step, mean over steps**",
        "",
        _row(["", *(WEIGHT_COLUMNS[column][0] for column in shown)]),
        _row(["---", *["---:"] * len(shown)]),
    ]
    for _, row in weights.iterrows():
        cells = [format(row[column], WEIGHT_COLUMNS[column][1]) for column in shown]
        lines.append(_row([row["label"], *("–" if cell == "nan" else cell for cell in cells)]))
    explained = [
        f"{WEIGHT_COLUMNS[column][0]}: {WEIGHT_COLUMNS[column][2]}." for column in shown if WEIGHT_COLUMNS[column][2]
    ]
    return "\n".join([*lines, "", " ".join(explained), ""])


# column of a ``weights`` artifact -> head, format and explanation
WEIGHT_COLUMNS = {
    "weight_p05": ("5 %", ".3g", ""),
    "weight_p50": ("median", ".3g", ""),
    "weight_p95": ("95 %", ".3g", ""),
    "effective_share": ("effective share", ".2f", "(Σw)² / (n Σw²); 1 means that all pull alike, as without weights"),
    "log_p_p50": ("median log p", ".1f", "of the whole completion"),
    "success_rate_p50": ("median success rate", ".2f", "of sampled completions, where the weight is taken at it"),
    "no_signal_share": ("no signal", ".2f", "share of the prompts whose completions all have one reward"),
    "reward_first": ("reward, first", ".2f", "mean over the first tenth of the steps"),
    "reward_last": ("reward, last", ".2f", "mean over the last tenth"),
    "kl_last": ("KL, last", ".3f", "from the start, nats per token, over the last tenth of the steps"),
}


def latex_table(summary: pd.DataFrame, caption: str) -> str:
    """A booktabs table: the value with its interval, below it the paired difference and the paper's difference."""
    heads = _heads(summary)
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_escape(caption)} Small: difference from the baseline, in brackets the paper's.}}",
        rf"\begin{{tabular}}{{l{'c' * len(heads)}}}",
        r"\toprule",
        rf" & {' & '.join(heads)} \\",
        r"\midrule",
    ]
    rule = rf"\midrule \multicolumn{{{len(heads) + 1}}}{{l}}{{\emph{{{NOT_IN_THE_PAPER}}}}} \\"
    for beyond, label, group in _objectives(summary):
        if beyond and rule not in lines:
            lines.append(rule)
        cells, differences = [], []
        for _, row in group.iterrows():
            half = row.copy()
            half["half"] = max(row["high"] - row["value"], row["value"] - row["low"])  # a bound may have one side
            pm = "" if pd.isna(row["low"]) else rf"$\,\pm\,${_number_of(half, 'half')}"
            cells.append(f"{_number_of(row, 'value')}{pm}")
            if row["objective"] == row["baseline"]:
                differences.append("")
                continue
            known = not pd.isna(row["reported_difference"])
            paper = f" ({_number_of(row, 'reported_difference', '+')})" if known else ""
            differences.append(rf"\scriptsize ${_number_of(row, 'difference', '+')}$ {paper}".rstrip())
        lines.append(rf"{_escape(label)} & {' & '.join(cells)} \\")
        if any(differences):
            lines.append(rf" & {' & '.join(differences)} \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _heads(summary: pd.DataFrame) -> list[str]:
    columns = summary[["metric", "k"]].drop_duplicates()
    return [f"{METRIC_NAMES[metric]}@{k}" for metric, k in zip(columns["metric"], columns["k"], strict=True)]


def _objectives(summary: pd.DataFrame) -> Iterator[tuple[bool, str, pd.DataFrame]]:
    """Per objective: whether the paper lacks it, its label, its rows; those of the paper first."""
    for (beyond, label), group in summary.groupby(["beyond_paper", "label"], sort=False):
        yield beyond, label, group


# --- weights of the strategies (paper Table 1) ------------------------------------------------------------------------

FORMS = {"sft": "SFT weight", "rl": "RL weight"}
# Kind of strategy -> name and formulas, in LaTeX. The paper's Table 1 omits the factor k of the majority SFT weight.
_PASS = {"success": r"1 - (1-p)^N", "sft": r"N p (1-p)^{N-1} / S(p)"}
FORMULAS = {
    "pass": {"name": "Pass@N", **_PASS, "rl": r"N (1-p)^{N-1}"},
    "majority": {
        "name": "Majority (N, k)",
        "success": r"\sum_{i=k}^{N} \binom{N}{i} p^i (1-p)^{N-i}",
        "sft": r"k \binom{N}{k} p^k (1-p)^{N-k} / S(p)",
        "rl": r"N \binom{N-1}{k-1} p^{k-1} (1-p)^{N-k}",
    },
    "best_of": {"name": "Best-of-N", **_PASS, "rl": r"N q^{N-1}"},
}
SYMBOLS = (
    "p: chance that one sample is right (best-of-N, SFT: that it is the best target). q: chance that a sample has a "
    "lower reward; values of its weight are at q = p. The paper's table omits the k of the majority SFT weight; its "
    "equations have it."
)


def weight_values(curves: pd.DataFrame, strategies: Sequence[str], p: Sequence[float]) -> pd.DataFrame:
    """One row per strategy and form: its formula, and its value at each p.

    Args:
        curves: a ``curves`` artifact that holds every p.
        strategies: names such as ``pass_n16``.
        p: chances that one sample is right.
    """
    rows = []
    for strategy in strategies:
        for form in FORMS:
            curve = curves[(curves["strategy"] == strategy) & (curves["form"] == form)].set_index("p")
            row = {"strategy": strategy, "label": curve["label"].iloc[0], "form": form}
            row["formula"] = FORMULAS[strategy.rsplit("_n")[0]][form]
            rows.append(row | {f"p={value:g}": curve.loc[value, "weight"] for value in p})
    return pd.DataFrame(rows)


def markdown_weight_table(
    values: pd.DataFrame,
    alignment: pd.DataFrame,
    variance: pd.DataFrame,
    normalisation: pd.DataFrame,
    within_prompt: pd.DataFrame,
    caption: str,
) -> str:
    """Formulas, values, alignment with the paper's beside it, waste and starvation, ratios of variances, normalisation.

    Args:
        values: ``weight_values``.
        alignment: an ``alignment`` artifact.
        variance: a ``variance`` artifact.
        normalisation: a ``normalisation`` artifact.
        within_prompt: a ``within_prompt`` artifact.
        caption: what the table shows.
    """
    negligible = alignment["negligible"].iloc[0]
    lines = [f"{caption} Closed forms: no model. {SYMBOLS}", ""]
    lines += _grid(
        "Formulas",
        ["", "S(p)", *FORMS.values()],
        [[row["name"], *(f"${row[key]}$" for key in ("success", *FORMS))] for row in FORMULAS.values()],
    )
    at = [column for column in values if column.startswith("p=")]
    lines += _grid(
        "Values",
        ["", "", *at],
        [[row["label"], FORMS[row["form"]], *(f"{row[column]:.3g}" for column in at)] for _, row in values.iterrows()],
    )
    lines += _pairs(
        alignment,
        "Alignment A of the SFT weights, p uniform on [0, 1] (in brackets the paper's); rows: trained on; columns: "
        "tested with",
        lambda r: f"{r['alignment']:.3f}" + ("" if pd.isna(r["reported"]) else f" ({r['reported']:.3f})"),
    )
    lines += _pairs(
        alignment,
        f"Waste: % of the training weight (row) that lies where the test weight (column) is below {negligible:g}; read "
        "as starvation: % of the row's test weight where the column's training weight is below it",
        lambda r: f"{100 * r['wasted_share']:.1f}",
    )
    for name, title in (
        ("ratio", "Variance of CAT's estimator over that of the pivotal one, one index of N samples (paper)"),
        ("ratio_summed", "The same at equal cost: CAT's mean over N samples, all N pivotal terms (not in the paper)"),
    ):
        distances = ((variance[f"{name}_simulated"] - variance[name]).abs() / variance[f"{name}_se"]).dropna()
        lines += _grid(
            title,
            ["", *(f"p={p:g}" for p in variance["p"].unique())],
            [[f"N={n}", *(f"{value:.3g}" for value in rows[name])] for n, rows in variance.groupby("n")],
        )
        lines += [
            f"Simulated where events suffice, {len(distances)} of {len(variance)} cells, {variance['draws'].iloc[0]} "
            f"groups each: at most {distances.max():.1f} standard errors away.",
            "",
        ]
    return "\n".join([*lines, *_normalisation(normalisation), *_within_prompt(within_prompt)])


def _normalisation(normalisation: pd.DataFrame) -> list[str]:
    distributions = normalisation.drop_duplicates("prompts")
    by_strategy = normalisation.groupby("label", sort=False)
    heads = [f"E[w], {name}" for name in distributions["prompts"]]
    cells = normalisation[normalisation["label"] == normalisation["label"].iloc[0]]
    heads += [f"{row['prompts']}, B={row['batch']}" for _, row in cells.iterrows()]
    rows = []
    for label, group in by_strategy:
        means = group.drop_duplicates("prompts")["mean_weight"]
        lengths = zip(group["raw"], group["normalised"], strict=True)
        rows.append([label, *(f"{mean:.3g}" for mean in means), *(f"{raw:.2f} → {over:.2f}" for raw, over in lengths)])
    lines = _grid(
        "RL weights w = S'(p): mean over prompts; length of the expected gradient of B prompts over GRPO's (Pass@1), "
        "raw → divided by the batch's mean weight",
        ["", *heads],
        rows,
    )
    named = "; ".join(f"{row['prompts']}: Beta({row['a']:g}, {row['b']:g})" for _, row in distributions.iterrows())
    return [
        *lines,
        f"p over prompts, {named}; {normalisation['draws'].iloc[0]} batches each, standard errors at most "
        f"{normalisation[['raw_se', 'normalised_se']].max(axis=None):.2g}. The normalised weights of every batch have "
        f"mean 1 (largest deviation {normalisation['mean_deviation'].max():.0e}); the gradient's length still depends "
        f"on N: from {normalisation['normalised'].min():.2f} to {normalisation['normalised'].max():.2f} of GRPO's.",
        "",
    ]


def _within_prompt(within_prompt: pd.DataFrame) -> list[str]:
    rows = []
    for label, group in within_prompt.groupby("label", sort=False):
        pairs = zip(group["weight_deviation"], group["advantage_deviation"], strict=True)
        rows.append([label, *(f"{weights:.2g}, {advantages:.2g}" for weights, advantages in pairs)])
    return _grid(
        "Weights normalised within one prompt of M samples: largest distance of a weight from 1, of an advantage from "
        "GRPO's (0, 0: bit for bit GRPO)",
        ["", *(f"M={size}" for size in within_prompt["group"].unique())],
        rows,
    )


def latex_weight_table(values: pd.DataFrame, caption: str) -> str:
    """Two booktabs tabulars: formulas, and values at each p."""
    at = [column for column in values if column.startswith("p=")]
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_escape(f'{caption} {SYMBOLS}')}}}",
        r"\begin{tabular}{llll}",
        r"\toprule",
        rf" & $S(p)$ & {' & '.join(FORMS.values())} \\",
        r"\midrule",
        *(
            rf"{row['name']} & {' & '.join(f'${row[key]}$' for key in ('success', *FORMS))} \\"
            for row in FORMULAS.values()
        ),
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\medskip",
        rf"\begin{{tabular}}{{ll{'r' * len(at)}}}",
        r"\toprule",
        rf" & & {' & '.join(f'${column}$' for column in at)} \\",
        r"\midrule",
        *(
            rf"{_escape(row['label'])} & {FORMS[row['form']]} & {' & '.join(_number(row[column]) for column in at)} \\"
            for _, row in values.iterrows()
        ),
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _pairs(alignment: pd.DataFrame, title: str, cell: Callable) -> list[str]:
    by_train = alignment.groupby("train_label", sort=False)
    rows = [[label, *(cell(pair) for _, pair in pairs.iterrows())] for label, pairs in by_train]
    return _grid(title, ["", *alignment["test_label"].unique()], rows)


def _grid(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return [f"**{title}**", "", *(_row(cells) for cells in [heads, rule, *rows]), ""]


def _number(value: float) -> str:
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"


# --- alignment beside gains (not in the paper) ------------------------------------------------------------------------


def markdown_alignment_table(frame: pd.DataFrame, caption: str) -> str:
    """Gains over cross-entropy with their intervals, alignment coefficients, and the best N per k, one grid each.

    Args:
        frame: ``budgets.beside_alignment``.
        caption: what the table shows.
    """
    ks = sorted(set(frame["k"]))
    heads = ["trained for", *(f"k={k}" for k in ks)]

    def rows(cell: Callable) -> list[list[str]]:
        return [[label, *(cell(row) for _, row in group.iterrows())] for label, group in _by_budget(frame)]

    def gain(row: pd.Series) -> str:
        if row["n"] == 1:
            return "–"
        interval = "" if pd.isna(row["low"]) else f" [{row['low']:+.1f}, {row['high']:+.1f}]"
        return f"{row['gain']:+.1f}{interval}" + ", best" * row["best"]

    lines = [caption, ""]
    lines += _grid("Gain over CE at Pass@k, points, paired by problem and seed [95 % interval]", heads, rows(gain))
    lines += _grid("Alignment A(N, k)", heads, rows(lambda row: f"{row['alignment']:.3f}"))
    best = [" = ".join(group.loc[group["best"], "label"]) for _, group in frame.groupby("k")]
    lines += _grid(
        "Best budget to train for", ["", *heads[1:]], [["measured", *best], ["by A", *_best_by_alignment(frame)]]
    )
    return "\n".join(lines)


def latex_alignment_table(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table: the gain over cross-entropy, below it the alignment coefficient."""
    ks = sorted(set(frame["k"]))
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_escape(caption)} Gain over CE in points; small: A.}}",
        rf"\begin{{tabular}}{{l{'c' * len(ks)}}}",
        r"\toprule",
        rf" & {' & '.join(f'$k={k}$' for k in ks)} \\",
        r"\midrule",
    ]
    for label, group in _by_budget(frame):
        gains = ["--" if row["n"] == 1 else f"${row['gain']:+.1f}$" for _, row in group.iterrows()]
        lines.append(rf"{_escape(label)} & {' & '.join(gains)} \\")
        coefficients = [rf"\scriptsize {coefficient:.3f}" for coefficient in group["alignment"]]
        lines.append(rf" & {' & '.join(coefficients)} \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _by_budget(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Per train budget its label and rows, in the order of N."""
    for (_, label), group in frame.groupby(["n", "label"]):
        yield label, group


def _best_by_alignment(frame: pd.DataFrame) -> list[str]:
    return [group.loc[group["alignment"].idxmax(), "label"] for _, group in frame.groupby("k")]


# --- what both share -------------------------------------------------------------------------------------------------


def _number_of(row: pd.Series, column: str, sign: str = "") -> str:
    """A value of a summary's row, scaled and rounded as its metric is shown."""
    return f"{SCALES[row['metric']] * row[column]:{sign}.{digits(row['metric'])}f}"


def _interval(row: pd.Series, value: str, low: str, high: str, sign: str = "") -> str:
    if pd.isna(row[low]):
        return _number_of(row, value, sign)
    return f"{_number_of(row, value, sign)} [{_number_of(row, low, sign)}, {_number_of(row, high, sign)}]"


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    for character in "%&_#":
        text = text.replace(character, f"\\{character}")
    return text
