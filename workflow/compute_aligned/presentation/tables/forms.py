"""What all tables share: their three forms, and how a wide view of their rows becomes Markdown and LaTeX."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...provenance.artifacts import whole, write_artifact


@dataclass(frozen=True)
class Table:
    """A table in its three forms.

    Attributes:
        rows: one value each, for programs; nothing is parsed out of a name.
        kind: what artifact they are.
        markdown: for the page.
        latex: for a paper.
    """

    rows: pd.DataFrame
    kind: str
    markdown: str
    latex: str


def write_table(table: Table, path_to_csv: str | Path, path_to_markdown: str | Path, path_to_latex: str | Path) -> None:
    """Write a table's rows as CSV, and its Markdown and LaTeX."""
    write_artifact(table.rows, table.kind, path_to_csv)
    for path, text in ((path_to_markdown, table.markdown), (path_to_latex, table.latex)):
        with whole(path) as partial:
            partial.write_text(text)


def wide_view(rows: pd.DataFrame, down: str, across: str, cell: Callable[[pd.Series], str]) -> pd.DataFrame:
    """Text of each row at its place: the values of one column down, of another across, in the order of the rows."""
    texts = rows.assign(text=[cell(row) for _, row in rows.iterrows()])
    view = texts.pivot(index=down, columns=across, values="text")
    return view.reindex(index=rows[down].unique(), columns=rows[across].unique()).fillna("")


def grid(title: str, view: pd.DataFrame) -> str:
    """A view as Markdown below its title."""
    view = view.rename_axis(index=None, columns=None)
    columns = ("left", *("right" for _ in view.columns))
    return f"**{title}**\n\n{view.to_markdown(tablefmt='pipe', disable_numparse=True, colalign=columns)}\n"


def latex_table(caption: str, tabulars: Iterable[pd.DataFrame]) -> str:
    """Views, whose cells are LaTeX, one below the other in one floating table in the style of booktabs."""
    bodies = []
    for view in tabulars:
        view = view.rename_axis(index=None, columns=None).reset_index(names="")  # labels need not be unique
        styled = view.style.hide(axis="index")
        bodies.append(styled.to_latex(hrules=True, column_format="l" + "c" * (len(view.columns) - 1)))
    lines = [r"\begin{table}", r"\centering\small", rf"\caption{{{escape(caption)}}}"]
    return "\n".join([*lines, "\n\\medskip\n".join(bodies).rstrip(), r"\end{table}", ""])


def escape(text: str) -> str:
    """Plain text as LaTeX."""
    for character in "%&_#":
        text = text.replace(character, f"\\{character}")
    return text
