"""Verify everything that a preset made, also against what its rules would make now: a sentence per finding."""

import sys
from pathlib import Path

from compute_aligned.provenance.audit import holds_manifests, open_folder, verify_folder


def audit_results(results: str, now: list[dict], wanted: list[str], path_to_log: str) -> int:
    """Verify a results folder.

    Args:
        results: the folder.
        now: what its jobs would be given now, as ``provenance.audit.verify_folder`` takes it.
        wanted: tables, figures and verdicts of the preset.
        path_to_log: where the sentences go, besides the terminal.

    Returns:
        exit code: 0 if nothing is wrong.
    """
    root = Path(results)
    if not holds_manifests(root):
        print(f"audit: {root}: no manifests; nothing of this preset was made here", file=sys.stderr)
        return 2
    found = verify_folder(open_folder(root), now=now, wanted=wanted)
    text = "\n".join(found.lines())
    print(text, flush=True)
    Path(path_to_log).write_text(text + "\n")
    return 1 if found.complaints else 0


if __name__ == "__main__":
    sys.exit(
        audit_results(
            results=snakemake.params.results,  # noqa: F821
            now=snakemake.params.now,  # noqa: F821
            wanted=snakemake.params.wanted,  # noqa: F821
            path_to_log=snakemake.log[0],  # noqa: F821
        )
    )
