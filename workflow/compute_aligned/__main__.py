"""The commands of the package: `python -m compute_aligned <command>`; `--help` behind one says what it takes."""

import runpy
import sys
from pathlib import Path

COMMANDS = {
    "audit": "presentation.trace.command",
    "bundle": "provenance.bundle",
    "claims": "presentation.claims_table",
    "compare": "presentation.compare",
    "config": "config.reference",
    "memory": "planning.memory",
    "pin": "config.pin",
    "plan": "planning.cost",
    "preflight": "planning.preflight",
    "reference": "provenance.published",
    "summary": "presentation.terminal",
    "timing": "planning.timing",
}


def other_checkout(here: Path) -> str | None:
    """A sentence, where a folder belongs to another checkout than the one whose code runs."""
    package = Path(__file__).resolve().parent
    found = [folder for folder in (here, *here.parents) if (folder / "workflow" / "compute_aligned").is_dir()]
    if not found or (found[0] / "workflow" / "compute_aligned").resolve() == package:
        return None
    return (
        f"compute_aligned: this runs the code of {package}, not that of {found[0]}; "
        f"`PYTHONPATH={found[0] / 'workflow'}` before the command, or `make env` there, changes that"
    )


def main() -> None:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        found = f"found {command!r}, " if command else ""
        sys.exit(f"compute_aligned: {found}wanted one of the commands {', '.join(COMMANDS)}")
    if (sentence := other_checkout(Path.cwd())) is not None:
        print(sentence, file=sys.stderr)
    del sys.argv[1]
    runpy.run_module(f"compute_aligned.{COMMANDS[command]}", run_name="__main__")


if __name__ == "__main__":
    main()
