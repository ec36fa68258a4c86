"""What the checks share: the results folder, artifacts, runs and experiments of the preset, a test for each."""

from functools import lru_cache

import pandas as pd
import pytest

from compute_aligned.provenance.artifacts import read_artifact

NAMES = {
    "folder": lambda folder: folder,
    "artifact": lambda artifact: artifact["path"],
    "run": lambda run: f"{run['recipe']}-{run['objective']}-seed{run['seed']}",
    "experiment": lambda experiment: experiment["name"],
}


def pytest_generate_tests(metafunc):
    expected = metafunc.config.expected  # given by scripts/check_results.py
    for name, label in NAMES.items():
        if name in metafunc.fixturenames:
            # Of module scope, so that all checks of a run come together and its files are read once.
            metafunc.parametrize(name, expected.get(f"{name}s", []), ids=label, scope="module")


@lru_cache(maxsize=4)
def _read(kind: str, path: str) -> pd.DataFrame:
    return read_artifact(kind, path)


@pytest.fixture
def read():
    """Read an artifact; one that cannot be read ends the check with the sentence that says why."""

    def reading(kind: str, path: str) -> pd.DataFrame:
        try:
            return _read(kind, path)
        except (ValueError, OSError) as error:
            pytest.fail(str(error), pytrace=False)

    return reading


@pytest.fixture
def require():
    """End the check with a sentence unless a condition holds."""

    def requiring(condition: bool, sentence: str) -> None:
        if not condition:
            pytest.fail(sentence, pytrace=False)

    return requiring
