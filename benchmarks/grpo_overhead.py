"""CPU seconds per RL step of our trainer against TRL's, alternating in one run, and where the seconds of a step go.

    python benchmarks/grpo_overhead.py
    python benchmarks/grpo_overhead.py --model protein
    python benchmarks/grpo_overhead.py --model smollm2 --steps 5 --rounds 2 --variants TRL "grpo, TRL's sampler" grpo
    python benchmarks/grpo_overhead.py --model smollm2 --precision fp32 --group-size 16 --variants TRL grpo
    python benchmarks/grpo_overhead.py --model smollm2 --steps 3 --rounds 1 --variants grpo --profile

The model is the tiny preset's, untrained; the learning rate is 0, so that all trainers sample alike. The variants draw
by our sampler but for TRL and "TRL's sampler". It runs on one thread, whose CPU time is counted: other work on the
machine disturbs the ratio less. With more threads it is wall time.

SmolLM2 is preset small_gym's, with an adapter, after a short warm-up on sums of two or three numbers, so that its
completions end; the warm-up's steps are timed, too. TRL and its sampler get the model as TRL loads one, in float32, in
which it also samples; our sampler gets it as our runs do. It can be kept for benchmarks/sampling.py (--keep FOLDER).
"""

import argparse
import contextlib
import io
import logging
import os
import random
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pandas as pd
import torch
import yaml
from torch.profiler import profile
from transformers import Trainer, TrainerCallback
from trl import GRPOTrainer

from compute_aligned.advantages import AdvantageSettings, rl_objective
from compute_aligned.config.settings.rl import RLSettings
from compute_aligned.config.settings.training import TrainingSettings
from compute_aligned.models.adapter import Adapter
from compute_aligned.models.autocast import prepare_for_autocast
from compute_aligned.models.loading import DTYPES, add_adapter, load_model, load_tokenizer
from compute_aligned.models.making import make_base_model
from compute_aligned.models.sources import read_source
from compute_aligned.objectives import sft_objective
from compute_aligned.provenance.artifacts import write_artifact
from compute_aligned.tasks import Problem, arithmetic, protein
from compute_aligned.tasks.rewards import AnswerReward, ProteinReward, grade_as_the_paper
from compute_aligned.training.grpo import ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset
from compute_aligned.training.sft import ComputeAlignedSFTTrainer, trainer_arguments
from compute_aligned.training.sft_run import encode_problems

CONFIG = Path(__file__).parents[1] / "config"
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
# Sampled as the recipes do; 128 rows a step, and of SmolLM2 as in small_gym.
OF_MODEL = {
    "math": {
        **{"prompts_per_step": 32, "group_size": 4, "max_new_tokens": 32},
        **{"temperature": 0.8, "top_p": 0.95, "top_k": 0},
    },
    "protein": {
        **{"prompts_per_step": 4, "group_size": 32, "max_new_tokens": 64},
        **{"temperature": 1.2, "top_p": 1.0, "top_k": 50},
    },
    "smollm2": {
        **{"prompts_per_step": 4, "group_size": 4, "max_new_tokens": 24, "micro_batch_size": 16},
        **{"temperature": 0.8, "top_p": 0.95, "top_k": 0, "precision": "bf16"},
    },
}
# The warm-up of math_rl_pass in small_gym, cut short.
ADAPTER = Adapter(r=16, alpha=32, dropout=0.0, target_modules=["q_proj", "v_proj"])
WARMUP = {
    **{"batch_size": 4, "micro_batch_size": 4, "epochs": 1, "learning_rate": 5e-4, "max_grad_norm": 0.3},
    **{"target": "solution", "max_length": 1024, "schedule": "linear", "weight_decay": 0.01},
}
WARMUP_STEPS = 24
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


def now() -> float:
    """Seconds: of the CPU where one thread works, else of the clock."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class _Clock(TrainerCallback):
    """Seconds of each step, from the end of one to the end of the next, and of the methods in PARTS."""

    def __init__(self, trainer: Trainer):
        self.steps: list[float] = []
        self.parts: dict[str, list[float]] = {part: [] for part in PARTS.values()}
        for method, part in PARTS.items():
            if hasattr(trainer, method):
                setattr(trainer, method, self._timed(getattr(trainer, method), self.parts[part]))

    @staticmethod
    def _timed(method, seconds: list[float]):
        def timed(*args, **kwargs):
            start = now()
            result = method(*args, **kwargs)
            seconds.append(now() - start)
            return result

        return timed

    def on_train_begin(self, *args, **kwargs):
        self.last = now()

    def on_log(self, *args, **kwargs):  # each step is logged: the cost of logging counts
        end = now()
        self.steps.append(end - self.last)
        self.last = end


def sums(n: int) -> list[Problem]:
    """Questions as those of chain_sum in reasoning-gym, of two or three numbers of up to two digits."""
    draw, problems = random.Random(1), []
    for place in range(n):
        terms = [draw.choice("+-") + str(draw.randint(1, 99)) for _ in range(draw.randint(2, 3))]
        terms[0] = terms[0][1:]
        text, value = " ".join(f"{term[0]} {term[1:]}" for term in terms[1:]), sum(map(int, terms))
        prompt = f"Problem:\nState the final answer to the following arithmetic problem: {terms[0]} {text} ="
        problems.append(Problem(str(place), prompt, f"\\boxed{{{value}}}", str(value), "chain_sum", 1))
    return problems


def warm_up(base: Path, folder: Path, precision: str, work: Path) -> list[float]:
    """Train an adapter of the base model for a while; seconds of its steps."""
    settings = TrainingSettings.model_construct(**SETTINGS | WARMUP | {"precision": precision})
    tokenizer, model = load_tokenizer(base), load_model(base, base, precision, None, trainable=True)
    model = add_adapter(model, ADAPTER, 1)
    prepare_for_autocast(model, precision)
    arguments = trainer_arguments(settings, work)
    arguments.disable_tqdm, arguments.save_strategy, arguments.logging_steps = True, "no", 1
    problems = sums(WARMUP_STEPS * settings.batch_size)
    trainer = ComputeAlignedSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=encode_problems(problems, tokenizer, settings),
        processing_class=tokenizer,
        objective=sft_objective("ce"),
    )
    clock = _Clock(trainer)
    trainer.add_callback(clock)
    trainer.train()
    trainer.save_model(str(folder))
    return clock.steps[2:WARMUP_STEPS]


def run(name: str, settings: dict, base: Path, start: Path, problems: list, work: Path) -> _Clock:
    """Train over the problems once, from a model or its adapter in ``start``."""
    objective, changes, arguments_changed = VARIANTS[name]
    settings = settings | {"steps": len(problems) // settings["prompts_per_step"]} | changes
    # Not checked: nothing but TRL's settings is taken from it, and its learning rate is 0.
    arguments = grpo_arguments(RLSettings.model_construct(**settings), work)
    arguments.disable_tqdm = True
    for key, value in arguments_changed.items():
        setattr(arguments, key, value)
    ours = {}
    model = load_model(base, start, settings["precision"], None, trainable=True)
    if objective is not None:
        window = 4000 if objective.startswith("best_of") else None
        normalize = not objective.startswith("pass")  # as the recipes
        ours = {"objective": rl_objective(objective), "loss": "token_mean"}
        ours["advantage_settings"] = AdvantageSettings(10.0, normalize, 5.0, 0.0, window)
        if "TRL's sampler" not in name:
            prepare_for_autocast(model, settings["precision"])
    cls = _DrawnByTRL if "TRL's sampler" in name else ComputeAlignedGRPOTrainer
    answer = AnswerReward(partial(grade_as_the_paper, whole_is_answer=False))
    trainer = (cls if ours else GRPOTrainer)(
        model=model,
        args=arguments,
        train_dataset=prompts_dataset(problems),
        processing_class=load_tokenizer(base),
        reward_funcs=ProteinReward() if problems[0].answer == "" else answer,
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
    parser.add_argument("--group-size", type=int, help="completions of a prompt")
    parser.add_argument("--micro-batch-size", type=int, help="completions of a forward and backward pass")
    parser.add_argument("--precision", choices=DTYPES, help="the model's own: smollm2's is bf16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="also what torch does in the last turn")
    parser.add_argument("--keep", type=Path, help="folder for smollm2's base, adapter and problems")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)

    settings = SETTINGS | OF_MODEL[options.model]
    given = {name: getattr(options, name) for name in ("group_size", "micro_batch_size", "precision")}
    settings |= {name: value for name, value in given.items() if value is not None}
    rows = settings["prompts_per_step"] * settings["group_size"]
    settings["micro_batch_size"] = min(settings["micro_batch_size"], rows)
    n_prompts = options.steps * settings["prompts_per_step"]
    problems = {
        "math": lambda: arithmetic.generate_splits(1, {"train": n_prompts})["train"],
        "protein": lambda: [protein.unconditional_problem()] * n_prompts,
        "smollm2": lambda: sums(n_prompts),
    }[options.model]()
    steps: dict[str, list[float]] = {name: [] for name in options.variants}
    parts = {name: {part: [] for part in PARTS.values()} for name in options.variants}
    tokens = {}
    silent = contextlib.ExitStack()
    with tempfile.TemporaryDirectory() as folder:
        kept = options.keep or Path(folder)
        base = start = kept / "base"
        if options.model == "smollm2":
            source, start = yaml.safe_load((CONFIG / "small_gym.yaml").read_text())["models"]["math"]["source"], None
        else:
            source = yaml.safe_load((CONFIG / "tiny.yaml").read_text())["models"][options.model]["source"]
            source |= {"steps": 1, "corpus_size": 1}
        with silent:
            silent.enter_context(contextlib.redirect_stdout(io.StringIO()))
            silent.enter_context(contextlib.redirect_stderr(io.StringIO()))
            make_base_model(read_source(source), base)
            if start is None:
                start = kept / "adapter"
                supervised = warm_up(base, start, settings["precision"], Path(folder) / "work")
                write_artifact(pd.DataFrame([vars(p) for p in problems]), "problems", str(kept / "problems.parquet"))
            for _ in range(options.rounds):
                for name in options.variants:
                    with profile() if options.profile else contextlib.nullcontext() as operators:
                        clock = run(name, settings, base, start, problems, Path(folder) / "work")
                    steps[name] += clock.steps[2 : options.steps]
                    tokens[name] = statistics.mean(clock.tokens)
                    for part, seconds in clock.parts.items():
                        # A step is one call of what samples and grades, and one for each micro-batch of the passes.
                        calls = len(seconds) // options.steps
                        each = [sum(seconds[i : i + calls]) for i in range(0, len(seconds), calls)]
                        parts[name][part] += each[2:]

    time_of = "CPU milliseconds" if options.threads == 1 else f"milliseconds with {options.threads} threads"
    lengths = ", ".join(f"{tokens[name]:.1f}" for name in options.variants)
    print(f"{rows} completions of {lengths} tokens, {settings['precision']}; medians in {time_of} per step")
    if options.model == "smollm2":
        print(f"supervised step: {1000 * statistics.median(supervised):.1f}")
    print(f"{'':33} {'step':>7} {'generate':>9} {'reward':>7} {'forward+backward':>16} {'else':>6}")
    medians = {name: statistics.median(seconds) for name, seconds in steps.items()}
    generating = {}
    for name, step in medians.items():
        generate, reward, training = (statistics.median(parts[name][part]) for part in PARTS.values())
        generating[name] = generate
        values = (step, generate, reward, training - generate - reward, step - training)
        print(f"{name:33} " + " ".join(f"{1000 * v:{w}.1f}" for v, w in zip(values, (7, 9, 7, 16, 6), strict=True)))
    for name in medians:
        trl = "TRL, beta 0.05" if "beta" in name else "TRL"
        if VARIANTS[name][0] is not None and trl in medians:
            step, generate = medians[name] / medians[trl], generating[name] / generating[trl]
            print(f"{name} / {trl}: step {step:.3f}, generate {generate:.3f}")
    if options.profile:
        print(operators.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


if __name__ == "__main__":
    main()
