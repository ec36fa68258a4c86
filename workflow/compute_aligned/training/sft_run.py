"""One run of supervised fine-tuning, from files to files."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset

from ..config.settings.training import TrainingSettings
from ..models.autocast import prepare_for_autocast
from ..models.loading import add_adapter, check_precision, load_model, load_tokenizer
from ..models.tokenization import encode_example, turn_end, without_long_prompts
from ..objectives import sft_objective
from ..provenance.artifacts import read_artifact, write_artifact
from ..tasks import Problem, select
from .loop import train_to_the_end
from .run_files import RunFiles
from .sft import RECORD_COLUMNS, ComputeAlignedSFTTrainer, trainer_arguments
from .success_rates import success_rates
from .trained import fingerprint


def train_sft(
    files: RunFiles,
    settings: TrainingSettings,
    threads: int,
    before_writing: Callable[[], None] = lambda: None,
) -> dict:
    """Train one run, resuming from the last whole checkpoint of the very same run, code, settings and inputs.

    Its checkpoints stay, so that a job of several runs loses none of them when it is killed.

    Args:
        files: what it is made from, and where it goes.
        settings: of the run.
        threads: CPU threads.
        before_writing: called before anything is written; what it raises ends the training.

    Returns:
        the folder of its checkpoints, and what the manifest should say: counts and how the run went.
    """
    torch.set_num_threads(threads)
    check_precision(settings.precision)
    base, start = Path(files.base), Path(files.start)
    tokenizer = load_tokenizer(base)
    chosen = training_problems(files.problems, settings)
    problems, n_too_long = without_long_prompts(tokenizer, chosen, settings.longest_prompt)
    dataset = encode_problems(problems, tokenizer, settings)
    model = load_model(base, start, settings.precision, settings.quantization, trainable=True)
    if settings.adapter is not None and start == base:
        model = add_adapter(model, settings.adapter, settings.seed)
    prepare_for_autocast(model, settings.precision)
    untrained = fingerprint(model)
    work = files.work_folder(settings)
    trainer = ComputeAlignedSFTTrainer(
        model=model,
        args=trainer_arguments(settings, work),
        train_dataset=dataset,
        processing_class=tokenizer,
        objective=sft_objective(settings.objective),
        average=settings.average,
        success_rates=success_rates(problems, tokenizer, settings),
    )
    resumed_from = train_to_the_end(trainer, work, untrained, files.model, before_writing)
    record = pd.DataFrame(trainer.record, columns=RECORD_COLUMNS)
    write_artifact(record, "training", files.record)
    end = turn_end(tokenizer)
    return {
        "checkpoints": str(work),
        "n_examples": len(dataset),
        "n_prompts_too_long": n_too_long,
        "n_targets_cut": sum(labels[-1] != end for labels in dataset["labels"]),
        "n_steps": trainer.state.global_step,
        "resumed_from": resumed_from,
        "device": str(trainer.args.device),
        "log": trainer.state.log_history,
    }


def training_problems(path: str, settings: TrainingSettings) -> list[Problem]:
    """The selected training problems."""
    problems = [Problem(**row) for row in read_artifact("problems", path).to_dict("records")]
    return select(problems, settings.levels, settings.train_problems, settings.selection_seed)


def encode_problems(problems: list[Problem], tokenizer, settings: TrainingSettings) -> Dataset:
    """Token ids and labels of the training problems, and the place of each among them.

    Raises:
        ValueError: an example that cannot be trained on (encode_example), or no target keeps its end token.
    """
    column = {"answer": "answer", "solution": "target"}[settings.target]
    examples = [
        encode_example(tokenizer, p.problem_id, p.prompt, getattr(p, column), settings.max_length) for p in problems
    ]
    end = turn_end(tokenizer)
    if all(example["labels"][-1] != end for example in examples):
        raise ValueError(
            f"each of the {len(examples)} targets is cut at max_length {settings.max_length} before its end token, "
            "so a model trained on them would not learn to end"
        )
    return Dataset.from_list([example | {"example": place} for place, example in enumerate(examples)])
