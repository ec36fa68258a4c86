"""The table of the strategies' weights in closed form (paper Table 1), and what follows from them."""

from collections.abc import Callable, Sequence

import pandas as pd

from .. import numbers
from .forms import Table, escape, grid, latex_table, wide_view

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


def closed_form(
    curves: pd.DataFrame,
    alignment: pd.DataFrame,
    variance: pd.DataFrame,
    normalisation: pd.DataFrame,
    within_prompt: pd.DataFrame,
    title: str,
    values: dict,
) -> Table:
    """Formulas, values, alignment with the paper's beside it, waste and starvation, ratios of variances, normalisation.

    Args:
        curves: a ``curves`` artifact that holds every p of ``values``.
        alignment: an ``alignment`` artifact.
        variance: a ``variance`` artifact.
        normalisation: a ``normalisation`` artifact.
        within_prompt: a ``within_prompt`` artifact.
        title: what the table shows.
        values: ``strategies`` and ``p`` of the values that it prints.
    """
    rows = weight_values(curves, **values)
    blocks = [
        f"{title} Closed forms: no model. {SYMBOLS}\n",
        grid("Formulas", _formulas()),
        grid("Values", _values(rows, numbers.significant)),
        *_alignment(alignment),
        *_variance(variance),
        *_normalisation(normalisation),
        _within_prompt(within_prompt),
    ]
    in_latex = _values(rows.assign(label=rows["label"].map(escape)), latex_number)
    tabulars = [_formulas(), in_latex.rename(columns=lambda head: f"${head}$" if "=" in head else head)]
    return Table(rows, "closed_form_table", "\n".join(blocks), latex_table(f"{title} {SYMBOLS}", tabulars))


def weight_values(curves: pd.DataFrame, strategies: Sequence[str], p: Sequence[float]) -> pd.DataFrame:
    """One row per strategy, form and p: the weight, beside its formula.

    Args:
        curves: a ``curves`` artifact that holds every p.
        strategies: names such as ``pass_n16``.
        p: chances that one sample is right.

    Returns:
        the columns of a ``closed_form_table`` artifact.
    """
    rows = []
    for strategy in strategies:
        for form in FORMS:
            curve = curves[(curves["strategy"] == strategy) & (curves["form"] == form)].set_index("p")
            named = {"strategy": strategy, "label": curve["label"].iloc[0], "form": form}
            named["formula"] = FORMULAS[strategy.rsplit("_n")[0]][form]
            rows += [named | {"p": value, "value": curve.loc[value, "weight"]} for value in p]
    return pd.DataFrame(rows)


def latex_number(value: float) -> str:
    """A number to three digits, its exponent as a power of ten."""
    mantissa, _, exponent = numbers.significant(value).partition("e")
    return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"


# --- views -----------------------------------------------------------------------------------------------------------


def _formulas() -> pd.DataFrame:
    cells = [[f"${row[key]}$" for key in ("success", *FORMS)] for row in FORMULAS.values()]
    names = [row["name"] for row in FORMULAS.values()]
    return pd.DataFrame(cells, index=names, columns=["S(p)", *FORMS.values()])


def _values(rows: pd.DataFrame, written: Callable[[float], str]) -> pd.DataFrame:
    """A view with a line per strategy and form, whose name is its first cell."""
    view = pd.concat(
        [
            wide_view(
                of_form.assign(head=_heads("p", of_form["p"])), "label", "head", lambda row: written(row["value"])
            )
            .assign(form=name)
            .pipe(lambda of_name: of_name[["form", *of_name.columns.drop("form")]])
            for form, name in FORMS.items()
            for of_form in [rows[rows["form"] == form]]
        ]
    )
    return view.loc[rows["label"].unique()].rename(columns={"form": " "})


def _alignment(alignment: pd.DataFrame) -> list[str]:
    negligible = alignment["negligible"].iloc[0]
    titles: dict[str, Callable[[pd.Series], str]] = {
        "Alignment A of the SFT weights, p uniform on [0, 1] (in brackets the paper's); rows: trained on; columns: "
        "tested with": lambda row: (
            numbers.number(row["alignment"], "cosine")
            + ("" if pd.isna(row["reported"]) else f" ({numbers.number(row['reported'], 'cosine')})")
        ),
        f"Waste: % of the training weight (row) that lies where the test weight (column) is below {negligible:g}; read "
        "as starvation: % of the row's test weight where the column's training weight is below it": (
            lambda row: numbers.number(100 * row["wasted_share"], "%")
        ),
    }
    return [grid(title, wide_view(alignment, "train_label", "test_label", cell)) for title, cell in titles.items()]


def _variance(variance: pd.DataFrame) -> list[str]:
    lines = []
    named = variance.assign(down=_heads("N", variance["n"]), across=_heads("p", variance["p"]))
    for name, title in (
        ("ratio", "Variance of CAT's estimator over that of the pivotal one, one index of N samples (paper)"),
        ("ratio_summed", "The same at equal cost: CAT's mean over N samples, all N pivotal terms (not in the paper)"),
    ):
        distances = ((variance[f"{name}_simulated"] - variance[name]).abs() / variance[f"{name}_se"]).dropna()
        lines.append(
            grid(title, wide_view(named, "down", "across", lambda row, name=name: numbers.significant(row[name])))
        )
        lines.append(
            f"Simulated where events suffice, {len(distances)} of {len(variance)} cells, {variance['draws'].iloc[0]} "
            f"groups each: at most {numbers.significant(distances.max(), 2)} standard errors away.\n"
        )
    return lines


def _normalisation(normalisation: pd.DataFrame) -> list[str]:
    distributions = normalisation.drop_duplicates("prompts")
    means = wide_view(
        normalisation.drop_duplicates(["label", "prompts"]).assign(head=lambda rows: "E[w], " + rows["prompts"]),
        "label",
        "head",
        lambda row: numbers.significant(row["mean_weight"]),
    )
    heads = [f"{row.prompts}, B={row.batch}" for row in normalisation.itertuples()]
    lengths = wide_view(
        normalisation.assign(head=heads),
        "label",
        "head",
        lambda row: f"{numbers.number(row['raw'], 'ratio')} → {numbers.number(row['normalised'], 'ratio')}",
    )
    title = (
        "RL weights w = S'(p): mean over prompts; length of the expected gradient of B prompts over GRPO's (Pass@1), "
        "raw → divided by the batch's mean weight"
    )
    named = "; ".join(f"{row['prompts']}: Beta({row['a']:g}, {row['b']:g})" for _, row in distributions.iterrows())
    error = numbers.significant(normalisation[["raw_se", "normalised_se"]].max(axis=None), 2)
    deviation = numbers.significant(normalisation["mean_deviation"].max(), 1)
    least, most = (numbers.number(end, "ratio") for end in normalisation["normalised"].agg(["min", "max"]))
    return [
        grid(title, means.join(lengths)),
        f"p over prompts, {named}; {normalisation['draws'].iloc[0]} batches each, standard errors at most {error}. The "
        f"normalised weights of every batch have mean 1 (largest deviation {deviation}); the gradient's length still "
        f"depends on N: from {least} to {most} of GRPO's.\n",
    ]


def _within_prompt(within_prompt: pd.DataFrame) -> str:
    title = (
        "Weights normalised within one prompt of M samples: largest distance of a weight from 1, of an advantage from "
        "GRPO's (0, 0: bit for bit GRPO)"
    )
    deviations = ("weight_deviation", "advantage_deviation")
    named = within_prompt.assign(head=_heads("M", within_prompt["group"]))
    return grid(
        title,
        wide_view(
            named, "label", "head", lambda row: ", ".join(numbers.significant(row[name], 2) for name in deviations)
        ),
    )


def _heads(symbol: str, values: pd.Series) -> list[str]:
    return [f"{symbol}={value:g}" for value in values]
