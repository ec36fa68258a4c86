"""Run the checks of ``workflow/checks`` on what a preset made: a sentence per failure."""

import os
import sys
from pathlib import Path

import pytest

FAILED = "Failed: "  # what pytest puts before the sentence of pytest.fail
CHECKS = Path(__file__).parents[1] / "checks"


class Sentences:
    """In place of pytest's own report: a sentence per failed check, and the number of checks."""

    def __init__(self, expected: dict):
        self.expected = expected
        self.failures: list[str] = []
        self.n_checks = 0

    def pytest_configure(self, config):
        config.expected = self.expected  # where the checks' conftest.py looks

    def pytest_runtest_logreport(self, report):
        self.n_checks += report.when == "call"
        if report.failed:
            # A check that fails by itself gives its sentence; anything else is a mistake in the check.
            crash = getattr(report.longrepr, "reprcrash", None)
            message = str(report.longrepr) if crash is None else crash.message
            judged = message.startswith(FAILED)
            self.failures.append(message.removeprefix(FAILED) if judged else f"{report.nodeid}: {message}")

    def pytest_collectreport(self, report):
        if report.failed:
            self.failures.append(str(report.longrepr))


def check_results(expected: dict, path_to_log: str) -> int:
    """Check all artifacts of a preset.

    Args:
        expected: artifacts (kind, path), runs and experiments, as the checks name them.
        path_to_log: where the sentences go, besides the terminal.

    Returns:
        exit code: 0 if all checks passed.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sentences = Sentences(expected)
    options = ["-c", str(CHECKS / "pytest.ini"), "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:logging"]
    code = pytest.main([*options, str(CHECKS)], plugins=[sentences])
    lines = [*sentences.failures, f"{sentences.n_checks} checks, {len(sentences.failures)} failed"]
    print("\n".join(lines), flush=True)
    Path(path_to_log).write_text("\n".join(lines) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(check_results(expected=snakemake.params.expected, path_to_log=snakemake.log[0]))  # noqa: F821
