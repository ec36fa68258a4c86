"""What a change of the grader changes: stored samples graded again, against their stored scores; a table in Markdown.

PYTHONPATH=workflow python benchmarks/regrade.py results/tiny
"""

import argparse
import json
from pathlib import Path

from compute_aligned.grading import grade_many
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.manifests import manifest_folder

TIME_LIMIT_S = 10
COLUMNS = ["answer", "correct", "correct_paper_grader"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a preset's results, with its samples")
    root = parser.parse_args().results
    print("| recipe | samples | distinct pairs | now right | now wrong | other answers | paper's grader |")
    print("|---|---|---|---|---|---|---|")
    for file in sorted((manifest_folder(root) / "grade").glob("*.json")):
        manifest = json.loads(file.read_text())
        # Paths in a manifest start where the run was started: the folder may have been moved since.
        paths = {kind: [] for kind in ("samples", "scores", "data")}
        for entry in [*manifest["inputs"], *manifest["outputs"]]:
            parts = Path(entry["path"]).parts
            kind = next(kind for kind in paths if kind in parts)
            paths[kind].append(root.joinpath(*parts[parts.index(kind) :]))
        gold = read_artifact("problems", paths["data"][0]).set_index("problem_id")["answer"]
        pairs, old = [], []
        for samples, scores in zip(paths["samples"], paths["scores"], strict=True):
            table = read_artifact("samples", samples)
            pairs += zip(table["completion"], table["problem_id"].map(gold), strict=True)
            old += read_artifact("scores", scores)[COLUMNS].itertuples(index=False)
        new = grade_many(
            pairs,
            whole_is_answer=manifest["params"]["target"] == "answer",
            time_limit_s=TIME_LIMIT_S,
            workers=1,
        )
        changed = [(was, now) for was, now in zip(old, new, strict=True) if was.correct != now.correct]
        others = sum(
            (was.answer if isinstance(was.answer, str) else None) != now.answer
            for was, now in zip(old, new, strict=True)
        )
        by_paper = sum(was.correct_paper_grader != now.correct_paper_grader for was, now in zip(old, new, strict=True))
        right = sum(now.correct for _, now in changed)
        name = " ".join(manifest["wildcards"].values())
        print(
            f"| {name} | {len(pairs)} | {len(set(pairs))} | {right} | {len(changed) - right} | {others} | {by_paper} |"
        )


if __name__ == "__main__":
    main()
