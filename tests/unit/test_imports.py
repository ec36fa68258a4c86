"""What a job pays before it begins: heavy libraries that its script does without are not imported by it."""

import functools
import json
import subprocess
import sys

import pytest
from conftest import REPO

TRAINERS = ("trl", "peft", "bitsandbytes", "datasets", "transformers.trainer")
# Scripts that one process imports one after the other. What is found after one may be an earlier one's: so those that
# do without more come first.
ORDERS = [
    ("sample", "make_base_model", "train_grpo"),
    ("grade_by_task", "grade", "score_proteins", "make_table", "measure", "judge_claims"),
    ("draw_figure",),
]


@functools.cache
def modules_after(order):
    """Script -> the modules that are there once it was imported."""
    code = "import importlib, json, sys\n"
    code += f"print(json.dumps({{s: importlib.import_module(s) and sorted(sys.modules) for s in {order!r}}}))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO / "workflow" / "scripts", capture_output=True, text=True, check=True
    )
    return json.loads(found.stdout)


@pytest.mark.parametrize(
    ("script", "unneeded"),
    [
        ("sample", (*TRAINERS, "vllm", "matplotlib", "scipy.stats")),
        ("make_base_model", (*TRAINERS, "matplotlib", "scipy.stats")),
        ("train_grpo", ("vllm", "matplotlib", "scipy.stats", "sklearn", "tensorboard")),
        ("grade", ("torch", "transformers", "math_verify", "matplotlib", "scipy")),
        ("grade_by_task", ("torch", "transformers", "math_verify", "reasoning_gym", "matplotlib", "scipy")),
        ("score_proteins", ("torch", "transformers", "matplotlib", "scipy")),
        ("measure", ("torch", "transformers", "matplotlib")),
        ("make_table", ("torch", "transformers", "matplotlib", "scipy")),
        ("draw_figure", ("torch", "transformers", "scipy.stats")),
        ("judge_claims", ("torch", "transformers", "matplotlib")),
    ],
)
def test_a_script_imports_no_heavy_library_that_it_does_without(script, unneeded):
    (order,) = [order for order in ORDERS if script in order]
    assert [name for name in unneeded if name in modules_after(order)[script]] == []
