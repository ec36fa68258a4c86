"""The commands of the package: `python -m compute_aligned <command>`; `--help` behind one says what it takes."""

import runpy
import sys

COMMANDS = {
    "audit": "presentation.trace",
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


def main() -> None:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        found = f"found {command!r}, " if command else ""
        sys.exit(f"compute_aligned: {found}wanted one of the commands {', '.join(COMMANDS)}")
    del sys.argv[1]
    runpy.run_module(f"compute_aligned.{COMMANDS[command]}", run_name="__main__")


if __name__ == "__main__":
    main()
