"""Rule graph of Snakemake (DOT, standard input) -> SVG (standard output), without Graphviz: `make rulegraph`."""

import re
import sys

import matplotlib.pyplot as plt


def read(dot: str) -> dict[str, set[str]]:
    """Rule -> the rules whose files it reads itself, without those that it needs through another one anyway."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, flags=re.MULTILINE))
    if not names:
        raise SystemExit("draw_rulegraph: no rule graph on standard input; wanted the output of snakemake --rulegraph")
    needs = {name: set() for name in names.values() if name != "all"}  # which needs every other one
    for before, after in re.findall(r"(\d+) -> (\d+)", dot):
        if before != after and "all" not in (names[before], names[after]):
            needs[names[after]].add(names[before])

    def all_needed(rule: str) -> set[str]:
        return needs[rule].union(*map(all_needed, needs[rule]))

    return {rule: found - set().union(*map(all_needed, found)) for rule, found in needs.items()}


def places(needs: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Rule -> its column, one after the last rule that it needs, and its row, near the rules that it needs."""

    def earliest(rule: str) -> int:
        return max((earliest(before) + 1 for before in needs[rule]), default=0)

    def column(rule: str) -> int:  # what needs nothing stands just before its first reader
        return earliest(rule) or min((earliest(after) for after in needs if rule in needs[after]), default=1) - 1

    found: dict[str, tuple[float, float]] = {}
    for place in range(max(map(column, needs)) + 1):
        rules = sorted(rule for rule in needs if column(rule) == place)
        rows = {rule: sum(found[before][1] for before in needs[rule]) / max(1, len(needs[rule])) for rule in rules}
        found |= {rule: (place, row - (len(rules) - 1) / 2) for row, rule in enumerate(sorted(rules, key=rows.get))}
    return found


def draw(needs: dict[str, set[str]]) -> None:
    """Write the picture."""
    plt.rcParams |= {"svg.hashsalt": "compute-aligned", "font.size": 8}
    at = places(needs)
    width, height = (max(values) - min(values) + 1 for values in zip(*at.values(), strict=True))
    figure, axes = plt.subplots(figsize=(1.3 * width, 0.6 * height), layout="constrained")
    arrow = {"arrowstyle": "-|>", "color": "#8a8a8a", "shrinkA": 30, "shrinkB": 30, "linewidth": 0.8}
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "#0b3d91"}
    for rule, place in at.items():
        axes.text(*place, rule, ha="center", va="center", bbox=box, zorder=2)
        for before in sorted(needs[rule]):
            axes.annotate("", place, at[before], arrowprops=arrow, zorder=1)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(-height / 2, height / 2))
    axes.axis("off")
    figure.savefig(sys.stdout.buffer, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(read(sys.stdin.read()))
