"""What docs/library.md shows works from an installed wheel, outside the repository, with the core's packages alone."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import REPO
from stand_ins import make_mistral

import compute_aligned
from compute_aligned.training.grpo import REQUIRED

EXAMPLES = re.findall(r"```python\n(.*?)```", (REPO / "docs/library.md").read_text(), flags=re.DOTALL)
SFT, GRPO, METRICS = EXAMPLES
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
# What only the pipeline, the report and the tests need.
OUTSIDE_THE_CORE = ["snakemake", "math_verify", "matplotlib", "jsonschema", "pebble", "pytest", "markdown_it"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel of this checkout is unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # setuptools leaves a build folder where it builds
    shutil.copytree(REPO / "workflow", source / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        source,
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder / "site", wheel]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / "site"


def run(code, installed, folder):
    """Standard output of code, run in a folder of its own with the wheel in front of all else."""
    environment = os.environ | {"PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_examples_are_short():
    assert len(EXAMPLES) == 3
    assert max(len(example.splitlines()) for example in EXAMPLES) <= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "last_line"),
    [
        pytest.param(SFT, r"first example: log p = -\d+\.\d, weight [01]\.\d{3}", id="sft"),
        pytest.param(GRPO, r"median weight of the last step: \d+\.\d{3}", id="grpo"),
    ],
)
def test_a_trainer_runs_from_the_wheel_with_the_core_alone(example, last_line, installed, tmp_path):
    make_mistral(tmp_path / "model")
    code = (
        f"{example.replace(MODEL, str(tmp_path / 'model')).replace('report_to', 'use_cpu=True, report_to')}\n"
        "import sys, compute_aligned\n"
        f"assert compute_aligned.__file__.startswith({str(installed)!r})\n"
        f"assert not set({OUTSIDE_THE_CORE!r}) & set(sys.modules), set({OUTSIDE_THE_CORE!r}) & set(sys.modules)\n"
    )
    assert re.fullmatch(last_line, run(code, installed, tmp_path).strip().splitlines()[-1])


def test_the_metrics_run_from_the_wheel_without_torch(installed, tmp_path):
    lines = run(f"{METRICS}\nimport sys\nassert 'torch' not in sys.modules", installed, tmp_path).splitlines()
    assert lines[0] == "pass@8 = 0.9534"  # 1 - C(23, 8) / C(32, 8)
    assert lines[1] == "best of 4 = 0.8200"  # 0.9 in 4 of 5 draws, else 0.5
    exact, trials, error = (float(re.search(pattern, text).group(1)) for pattern, text in [
        (r"maj@16 = ([\d.]+), exact", lines[2]), (r"maj@16 = ([\d.]+) \+-", lines[3]), (r"\+- ([\d.]+)", lines[3])
    ])  # fmt: skip
    assert abs(exact - trials) < 4 * error


def test_every_public_name_is_there_and_typed(installed):
    assert (installed / "compute_aligned/py.typed").is_file()
    for name in compute_aligned.__all__:
        assert getattr(compute_aligned, name) is not None
    assert dir(compute_aligned) == sorted(compute_aligned.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        compute_aligned.nothing  # noqa: B018


def test_the_version_is_that_of_the_citation():
    assert f"version: {compute_aligned.__version__}\n" in (REPO / "CITATION.cff").read_text()


# --- what would silently be something else is refused ----------------------------------------------------------------


@pytest.fixture
def sft(tmp_path):
    from datasets import Dataset
    from trl import SFTConfig

    make_mistral(tmp_path / "model")
    rows = Dataset.from_list([{"prompt": "1 + 1 =", "completion": " 2"}] * 8)

    def make(objective="pass_n16", average="sequence", data_collator=None, **arguments):
        arguments = SFTConfig(
            output_dir=str(tmp_path / "out"), max_steps=1, report_to="none", use_cpu=True, bf16=False, **arguments
        )
        return compute_aligned.ComputeAlignedSFTTrainer(
            str(tmp_path / "model"),
            arguments,
            train_dataset=rows,
            objective=objective,
            average=average,
            data_collator=data_collator,
        )

    return make


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"packing": True}, "found packing=True and padding_free=False, wanted both False"),
        ({"padding_free": True}, "found packing=False and padding_free=True, wanted both False"),
        (
            {"objective": "pass_n4_marginal"},
            "Pass@4 marginal weighs by a problem's success rate; found success_rates=None",
        ),
        ({"objective": "pass@16"}, "unknown SFT objective 'pass@16'"),
        ({"average": "mean"}, "unknown average 'mean'; wanted one of sequence, token"),
    ],
)
def test_the_fine_tuning_trainer_refuses(wrong, sentence, sft):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        sft(**wrong)


def test_a_collator_without_labels_is_refused(sft):
    import torch

    def without_labels(rows):
        return {"input_ids": torch.tensor([row["input_ids"] for row in rows])}

    with pytest.raises(ValueError, match="wanted labels, too"):
        sft(data_collator=without_labels).train()


@pytest.mark.parametrize(
    ("wrong", "found"),
    [({"loss_type": "dapo"}, "loss_type='dapo'"), ({"num_iterations": 2}, "num_iterations=2")],
)
def test_the_reinforcement_trainer_refuses_other_steps(wrong, found, tmp_path):
    from trl import GRPOConfig

    arguments = {
        "loss_type": "grpo",
        "output_dir": str(tmp_path),
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
    } | wrong
    with pytest.raises(ValueError, match=re.escape(found)) as error:
        compute_aligned.ComputeAlignedGRPOTrainer("model", sum, GRPOConfig(**arguments), objective="grpo")
    (name,) = wrong
    assert f"{name}={REQUIRED[name]!r}" in str(error.value)
