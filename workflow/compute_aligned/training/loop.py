"""What training by both trainers shares: taking up a checkpoint, training to the end, writing whole or not at all."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from transformers import Trainer

from ..provenance.job import job
from ..provenance.lease import lease_of
from ..provenance.writing import whole
from ..settings import Settings
from .callbacks import BeforeSaving, CountSkippedSteps, EndWhenTold
from .checkpoints import last_whole_checkpoint
from .run_files import RunFiles
from .trained import refuse_if_untrained


def train_to_the_end(
    trainer: Trainer,
    work: Path,
    untrained: Mapping[str, str],
    path_to_model: str,
    before_writing: Callable[[], None],
    has_no_signal: Callable[[], bool] = lambda: False,
) -> str | None:
    """Train from the last whole checkpoint, or from the start, and write the model.

    Args:
        trainer: has ``resume_record``, which takes up the record of a checkpoint.
        work: folder of the checkpoints.
        untrained: ``trained.fingerprint`` of the model before.
        path_to_model: where the trained model or adapter goes.
        before_writing: called before anything is written; what it raises ends the training.
        has_no_signal: asked after training: whether there was nothing to learn from, so that a model may stand still.

    Returns:
        name of the checkpoint that was taken up, if one was.

    Raises:
        ValueError: nothing was trained, loss scaling skipped too many steps, or the process was told to end by SIGTERM.
    """
    checkpoint = last_whole_checkpoint(work)
    if checkpoint is not None:
        trainer.resume_record(checkpoint)
    with EndWhenTold() as end:
        trainer.add_callback(end)  # before the next one, which has to see that a checkpoint is wanted
        trainer.add_callback(BeforeSaving(before_writing))
        trainer.add_callback(CountSkippedSteps())
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if end.told and trainer.state.global_step < trainer.state.max_steps:
        raise ValueError(
            f"told to end (SIGTERM) at step {trainer.state.global_step} of {trainer.state.max_steps}, of which a "
            "checkpoint was written: the same command goes on from it"
        )
    refuse_if_untrained(trainer, untrained, has_no_signal())
    before_writing()
    for config in getattr(trainer.model, "peft_config", {}).values():
        # peft keeps a set, whose order differs between processes: the same adapter would have another hash.
        config.target_modules = sorted(config.target_modules)
    with whole(path_to_model) as folder:
        trainer.save_model(str(folder))
        (folder / "training_args.bin").unlink(missing_ok=True)  # absolute paths; the settings are in the manifest
        shutil.rmtree(folder / "ref", ignore_errors=True)  # a copy of the adapter that training started from
    return checkpoint.name if checkpoint else None


def train_runs(snakemake, train: Callable[..., dict], kind: type[Settings]) -> None:
    """Train the runs of a job, one after the other, by ``train_sft`` or ``train_grpo``, whose settings are of a kind.

    Checkpoints of all of them stay until the last is done, so that a killed job loses no run.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    lease = lease_of(snakemake)
    with job(snakemake, lease) as facts:
        facts["runs"] = [
            train(
                RunFiles(
                    base=snakemake.input.base,
                    start=start,
                    problems=snakemake.input.problems,
                    model=model,
                    record=record,
                    checkpoints=snakemake.params.checkpoints,
                    run=run,
                    code=snakemake.params.code,
                ),
                kind(**settings),
                threads=snakemake.threads,
                before_writing=lease.check,
            )
            for start, settings, model, record, run in zip(
                snakemake.input.starts,
                snakemake.params.settings,
                snakemake.output.models,
                snakemake.output.records,
                snakemake.params.runs,
                strict=True,
            )
        ]
        for run in facts["runs"]:
            lease.remove_when_done(run.pop("checkpoints"))
