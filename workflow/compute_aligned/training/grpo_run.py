"""One run of reinforcement learning, from files to files."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from ..advantages import AdvantageSettings, rl_objective
from ..config.settings.rl import RLSettings
from ..models.autocast import prepare_for_autocast
from ..models.loading import add_adapter, check_precision, load_model, load_tokenizer
from ..models.tokenization import without_long_prompts
from ..provenance.artifacts import read_artifact, write_artifact
from ..tasks import Problem, select
from ..tasks.reasoning_gym import Scorer
from ..tasks.rewards import AnswerReward, ProteinReward, ScorerReward, grade_as_the_paper
from .grpo import RECORDED, ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset
from .loop import train_to_the_end
from .run_files import RunFiles
from .trained import fingerprint

ADVANTAGE_FIELDS = [field.name for field in dataclasses.fields(AdvantageSettings)]


def train_grpo(
    files: RunFiles,
    settings: RLSettings,
    threads: int,
    before_writing: Callable[[], None] = lambda: None,
    reward: Callable | None = None,
) -> dict:
    """Train one run, resuming from the last whole checkpoint of the very same run, code, settings and inputs.

    Its checkpoints stay, so that a job of several runs loses none of them when it is killed.

    Args:
        files: what it is made from, and where it goes.
        settings: of the run.
        threads: CPU threads.
        before_writing: called before anything is written; what it raises ends the training.
        reward: another reward than the one that the settings name.

    Returns:
        the folder of its checkpoints, and what the manifest should say: counts and how the run went.
    """
    torch.set_num_threads(threads)
    check_precision(settings.precision)
    base, start = Path(files.base), Path(files.start)
    tokenizer = load_tokenizer(base)
    problems, n_too_long = training_prompts(files.problems, tokenizer, settings)
    # Fewer prompts than a step takes (the unconditional task has one) are repeated.
    copies = -(-settings.prompts_per_step // len(problems))
    model = load_model(base, start, settings.precision, settings.quantization, trainable=True)
    if settings.adapter is not None:
        model = add_adapter(model, settings.adapter, settings.seed)
    prepare_for_autocast(model, settings.precision)
    untrained = fingerprint(model)
    work = files.work_folder(settings)
    trainer = ComputeAlignedGRPOTrainer(
        model=model,
        reward_funcs=reward or reward_of(settings),
        args=grpo_arguments(settings, work),
        train_dataset=prompts_dataset(problems * copies),
        processing_class=tokenizer,
        objective=rl_objective(settings.objective),
        advantage_settings=AdvantageSettings(**{name: getattr(settings, name) for name in ADVANTAGE_FIELDS}),
        loss=settings.loss,
    )

    def has_no_signal() -> bool:
        return all(step["no_signal_share"] == 1 for step in trainer.record["steps"])

    resumed_from = train_to_the_end(trainer, work, untrained, files.model, before_writing, has_no_signal)
    record = pd.DataFrame(trainer.record["steps"], columns=["step", *RECORDED])
    write_artifact(record.astype({column: float for column in RECORDED}), "rl_training", files.record)
    return {
        "checkpoints": str(work),
        "n_prompts": len(problems),
        "n_prompts_too_long": n_too_long,
        "n_steps": trainer.state.global_step,
        "no_signal": has_no_signal(),  # no group of any step had rewards that differ
        "resumed_from": resumed_from,
        "device": str(trainer.args.device),
    }


def training_prompts(path: str, tokenizer, settings: RLSettings) -> tuple[list[Problem], int]:
    """The selected problems, and how many more were left out because their prompts are too long.

    Raises:
        ValueError: none is left.
    """
    problems = [Problem(**row) for row in read_artifact("problems", path).to_dict("records")]
    skipped = settings.skipped_problems
    chosen = select(problems, settings.levels, skipped + settings.problems, settings.selection_seed)[skipped:]
    return without_long_prompts(tokenizer, chosen, settings.longest_prompt)


def reward_of(settings: RLSettings):
    """The reward function, as TRL calls it."""
    if settings.questions is not None:
        return ScorerReward(Scorer(settings.questions), whole_is_answer=settings.target == "answer")
    if settings.reward == "answer":
        return AnswerReward(partial(grade_as_the_paper, whole_is_answer=settings.target == "answer"))
    return ProteinReward()
