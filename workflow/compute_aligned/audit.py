"""Verify a results folder, and walk back from a number in a table to samples, weights, data, config and code.

`python -m compute_aligned.audit results/tiny` verifies every artifact;
`python -m compute_aligned.audit results/tiny/tables/table2.csv --model pass_n16 --k 16` walks back from one number.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from .captions import METRIC_NAMES
from .provenance import UnverifiedArtifact, load_manifests, verify

# Folders of a results folder whose files are made by jobs; logs, benchmarks and checkpoints are by-products.
ARTIFACT_FOLDERS = ("data", "models", "training", "samples", "scores", "metrics", "tables", "figures")


def verify_results(root: Path) -> tuple[int, list[str]]:
    """Check every artifact of a results folder against its manifest.

    Returns:
        number of artifacts that are what their manifests say, and a sentence for each one that is not.
    """
    manifests = load_manifests(root)
    owned = set(manifests)
    complaints = [f"{path}: its manifest exists, the artifact does not" for path in owned if not Path(path).exists()]
    verified = 0
    for path in sorted(owned):
        if Path(path).exists():
            try:
                verify(Path(path), manifests)
                verified += 1
            except UnverifiedArtifact as error:
                complaints.append(str(error))
    for folder in ARTIFACT_FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            if file.is_file() and not owned & {str(file), *map(str, file.parents)}:
                complaints.append(f"{file}: no manifest says where it came from")
    return verified, complaints


def chain(path: Path, manifests: dict[str, dict], wanted) -> list[dict]:
    """The manifests behind an artifact, nearest first, each once.

    Args:
        path: the artifact.
        manifests: ``provenance.load_manifests``.
        wanted: path -> whether to follow it; keeps a walk to one objective's runs.
    """
    found, pending, seen = [], [str(path)], set()
    while pending:
        name = pending.pop(0)
        manifest = manifests.get(name)
        if manifest is None or id(manifest) in seen:
            continue
        seen.add(id(manifest))
        verify(Path(name), manifests)
        found.append(manifest)
        pending += [entry["path"] for entry in manifest["inputs"] if wanted(entry["path"])]
    return found


def explain(path: Path, model: str, k: int, manifests: dict[str, dict], experiment: str | None = None) -> str:
    """The story of one number of a table, a line or two per job.

    Args:
        path: the table's CSV.
        model: an objective, or a recipe where recipes are compared.
        k: test budget.
        manifests: ``provenance.load_manifests``.
        experiment: which of the experiments that the table shows, where there are several.

    Raises:
        ValueError: the table has no such model, k or experiment, or holds no measured numbers.
    """
    table = pd.read_csv(path)
    if "objective" not in table:
        raise ValueError(f"{path}: no number of it was measured on a model; it is computed in closed form")
    shown = list(dict.fromkeys(table["experiment"]))
    if experiment not in shown and (experiment is not None or len(shown) > 1):
        raise ValueError(f"{path}: --experiment is {experiment}, wanted one of {', '.join(shown)}")
    experiment = experiment or shown[0]
    table = table[table["experiment"] == experiment].dropna(axis=1, how="all").set_index("objective")
    columns = [column for column in table.columns if column.endswith(f"@{k}")]
    if model not in table.index or not columns:
        budgets = [column.split("@")[1] for column in table.columns if "@" in column and " " not in column]
        raise ValueError(
            f"{path}: no number for model {model!r} and k {k}; models are {', '.join(table.index)}, "
            f"k are {', '.join(dict.fromkeys(budgets))}"
        )
    column = columns[0]
    row = table.loc[model]
    unit = " %" if column.split("@")[0] != METRIC_NAMES["bon"] else ""
    interval = f" [{row[f'{column} low']:.2f}, {row[f'{column} high']:.2f}]" if f"{column} low" in table else ""
    lines = [f"{column} of {model}: {row[column]:.2f}{unit}{interval}, in {path}"]

    def wanted(name: str) -> bool:
        # Runs lie in folders <recipe>/<objective>/...; other objectives and experiments did not make this number.
        parts = Path(name).parts
        if "metrics" in parts:
            return parts[-1].split(".")[0] == experiment
        stages = {"samples", "scores", "training", "models"} & set(parts)
        return not stages or model in parts or "warmup" in parts or "base" in parts

    for manifest in chain(path, manifests, wanted):
        git = manifest["git"] or {"commit": "no git checkout", "dirty": False}
        made = ", ".join(f"{entry['path']} ({entry['sha256'][:12]})" for entry in manifest["outputs"])
        wildcards = " ".join(f"{key}={value}" for key, value in manifest["wildcards"].items())
        lines += [
            f"- {manifest['rule']} {wildcards}: {made}",
            f"    code {manifest['params'].get('code')}, commit {git['commit'][:12]}{' + changes' * git['dirty']}, "
            f"{manifest['ended'][:19]}, python {manifest['python']}",
        ]
        settings = {
            key: value for key, value in manifest["params"].items() if key not in ("code", "checkpoints", "runs")
        }
        lines.append(f"    {settings}")
        for entry in manifest["inputs"]:
            if entry["path"] not in manifests:
                lines.append(f"    read {entry['path']} ({entry['sha256'][:12]})")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned.audit", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="a results folder, or a table's CSV with --model and --k")
    parser.add_argument("--model", help="objective, such as pass_n16")
    parser.add_argument("--k", type=int, help="test budget")
    parser.add_argument("--experiment", help="which of a table's experiments, where it shows several")
    arguments = parser.parse_args()
    if not arguments.path.exists():
        raise ValueError(f"{arguments.path}: no such file or folder")
    if arguments.path.is_dir():
        verified, complaints = verify_results(arguments.path)
        print("\n".join([*complaints, f"{verified} artifacts verified, {len(complaints)} complaints"]))
        return 1 if complaints else 0
    if arguments.model is None or arguments.k is None:
        raise ValueError("a table needs --model and --k: which of its numbers?")
    root = arguments.path.parents[1]
    print(explain(arguments.path, arguments.model, arguments.k, load_manifests(root), arguments.experiment))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(f"audit: {error}")
