"""What a job pays before it begins: heavy libraries that its script does without are not imported by it."""

import subprocess
import sys

import pytest
from conftest import REPO

TRAINERS = ("trl", "peft", "bitsandbytes", "datasets", "transformers.trainer")


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
    code = f"import sys, {script}; print(*(name for name in {unneeded!r} if name in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO / "workflow" / "scripts", capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
