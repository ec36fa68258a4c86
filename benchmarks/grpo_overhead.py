"""CPU seconds per RL step of our trainer against TRL's, alternating in one run, and where the seconds of a step go.

    python benchmarks/grpo_overhead.py
    python benchmarks/grpo_overhead.py --model protein

The model is the tiny preset's, untrained; the learning rate is 0, so that all trainers sample alike. The variants draw
by our sampler but for TRL and "TRL's sampler". It runs on one thread, whose CPU time is counted: other work on the
machine disturbs the ratio less.
"""

import argparse
import contextlib
import io
import logging
import os
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import torch
import yaml
from transformers import TrainerCallback
from trl import GRPOTrainer

from compute_aligned.advantages import AdvantageSettings, rl_objective
from compute_aligned.config.settings.rl import RLSettings
from compute_aligned.models.loading import load_model, load_tokenizer
from compute_aligned.models.making import make_base_model
from compute_aligned.models.sources import read_source
from compute_aligned.tasks import arithmetic, protein
from compute_aligned.tasks.rewards import AnswerReward, ProteinReward, grade_as_the_paper
from compute_aligned.training.grpo import ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset

PRESET = Path(__file__).parents[1] / "config" / "tiny.yaml"
SETTINGS = {
    "seed": 1,
    "micro_batch_size": 128,
    "beta": 0.0,
    "learning_rate": 0.0,
    "schedule": "constant",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "checkpoint_steps": 10**6,
}
# 128 rows a step, sampled as the recipes do.
OF_MODEL = {
    "math": {
        **{"prompts_per_step": 32, "group_size": 4, "max_new_tokens": 32},
        **{"temperature": 0.8, "top_p": 0.95, "top_k": 0},
    },
    "protein": {
        **{"prompts_per_step": 4, "group_size": 32, "max_new_tokens": 64},
        **{"temperature": 1.2, "top_p": 1.0, "top_k": 50},
    },
}
# name -> (objective or None for TRL's trainer, changed settings, changed arguments of TRL)
VARIANTS = {
    "TRL": (None, {}, {}),
    "grpo": ("grpo", {}, {}),
    "grpo, TRL's sampler": ("grpo", {}, {}),
    "majority_n4_raw": ("majority_n4_raw", {}, {}),
    "best_of_n4": ("best_of_n4", {}, {}),
    "pass_n4_log": ("pass_n4_log", {}, {}),
    "TRL, beta 0.05": (None, {"beta": 0.05}, {}),
    "grpo, beta 0.05": ("grpo", {"beta": 0.05}, {}),
    "grpo, no top-p": ("grpo", {"top_p": 1.0}, {}),
    "grpo, TRL's sampler, static cache": ("grpo", {}, {"cache_implementation": "static"}),
}
PARTS = {"_generate": "generate", "_calculate_rewards": "reward", "training_step": "training step"}


class _DrawnByTRL(ComputeAlignedGRPOTrainer):
    _generate_single_turn = GRPOTrainer._generate_single_turn


class _Clock(TrainerCallback):
    """CPU seconds of each step, from the end of one to the end of the next, and of the methods in PARTS."""

    def __init__(self, trainer: GRPOTrainer):
        self.steps: list[float] = []
        self.parts: dict[str, list[float]] = {part: [] for part in PARTS.values()}
        for method, part in PARTS.items():
            setattr(trainer, method, self._timed(getattr(trainer, method), self.parts[part]))

    @staticmethod
    def _timed(method, seconds: list[float]):
        def timed(*args, **kwargs):
            start = time.process_time()
            result = method(*args, **kwargs)
            seconds.append(time.process_time() - start)
            return result

        return timed

    def on_train_begin(self, *args, **kwargs):
        self.last = time.process_time()

    def on_log(self, *args, **kwargs):  # each step is logged: the cost of logging counts
        now = time.process_time()
        self.steps.append(now - self.last)
        self.last = now


def run(name: str, model: str, base: Path, problems: list, work: Path) -> _Clock:
    """Train over the problems once, from the untrained model."""
    objective, changes, arguments_changed = VARIANTS[name]
    settings = SETTINGS | OF_MODEL[model]
    settings |= {"steps": len(problems) // settings["prompts_per_step"]} | changes
    # Not checked: nothing but TRL's settings is taken from it, and its learning rate is 0.
    arguments = grpo_arguments(RLSettings.model_construct(**settings), work)
    arguments.disable_tqdm = True
    for key, value in arguments_changed.items():
        setattr(arguments, key, value)
    ours = {}
    if objective is not None:
        window = 4000 if objective.startswith("best_of") else None
        normalize = not objective.startswith("pass")  # as the recipes
        ours = {"objective": rl_objective(objective), "loss": "token_mean"}
        ours["advantage_settings"] = AdvantageSettings(10.0, normalize, 5.0, 0.0, window)
    cls = _DrawnByTRL if "TRL's sampler" in name else ComputeAlignedGRPOTrainer
    answer = AnswerReward(partial(grade_as_the_paper, whole_is_answer=False))
    trainer = (cls if ours else GRPOTrainer)(
        model=load_model(base, base, "fp32", None, trainable=True),
        args=arguments,
        train_dataset=prompts_dataset(problems),
        processing_class=load_tokenizer(base),
        reward_funcs=answer if model == "math" else ProteinReward(),
        **ours,
    )
    clock = _Clock(trainer)
    trainer.add_callback(clock)
    trainer.train()
    clock.tokens = [row["completions/mean_length"] for row in trainer.state.log_history if "loss" in row]
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=OF_MODEL, default="math")
    parser.add_argument("--steps", type=int, default=12, help="steps per turn; the first two warm up")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each variant")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), help="of " + ", ".join(VARIANTS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)

    preset = yaml.safe_load(PRESET.read_text())
    n_prompts = options.steps * OF_MODEL[options.model]["prompts_per_step"]
    if options.model == "math":
        problems = arithmetic.generate_splits(1, {"train": n_prompts})["train"]
    else:
        problems = [protein.unconditional_problem()] * n_prompts
    steps: dict[str, list[float]] = {name: [] for name in options.variants}
    parts = {name: {part: [] for part in PARTS.values()} for name in options.variants}
    tokens = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        source = read_source(preset["models"][options.model]["source"])
        make_base_model(source | {"steps": 1, "corpus_size": 1}, base)
        for _ in range(options.rounds):
            for name in options.variants:
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    clock = run(name, options.model, base, problems, Path(folder) / "work")
                steps[name] += clock.steps[2 : options.steps]
                tokens[name] = statistics.mean(clock.tokens)
                for part, seconds in clock.parts.items():
                    parts[name][part] += seconds[2:]

    rows = n_prompts // options.steps * OF_MODEL[options.model]["group_size"]
    print(f"{rows} completions of {tokens[options.variants[0]]:.0f} tokens; medians in CPU milliseconds per step")
    print(f"{'':33} {'step':>7} {'generate':>9} {'reward':>7} {'forward+backward':>16} {'else':>6}")
    medians = {name: statistics.median(seconds) for name, seconds in steps.items()}
    for name, step in medians.items():
        generate, reward, training = (statistics.median(parts[name][part]) for part in PARTS.values())
        values = (step, generate, reward, training - generate - reward, step - training)
        print(f"{name:33} " + " ".join(f"{1000 * v:{w}.1f}" for v, w in zip(values, (7, 9, 7, 16, 6), strict=True)))
    for name in medians:
        trl = "TRL, beta 0.05" if "beta" in name else "TRL"
        if VARIANTS[name][0] is not None and trl in medians:
            print(f"{name} / {trl}: {medians[name] / medians[trl]:.3f}")


if __name__ == "__main__":
    main()
