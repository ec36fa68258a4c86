"""The evaluation pools of one run, drawn in shards and written as a table."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from transformers import GenerationConfig

from ..config.settings.evaluation import EvaluationSettings
from ..models.loading import check_precision, end_tokens, load_model, load_tokenizer
from ..models.tokenization import encode_prompts
from ..provenance.artifacts import read_artifact, write_artifact
from ..provenance.unfinished import work_folder
from ..tasks import Problem, select
from .pools import PoolSampler, sample_in_shards
from .transformers_backend import transformers_sampler
from .vllm_backend import vllm_sampler


def sample(
    path_to_base: str,
    path_to_model: str,
    path_to_problems: str,
    settings: EvaluationSettings,
    threads: int,
    checkpoints: str,
    path_to_samples: str,
    run: str,
    code: str,
    before_writing: Callable[[], None] = lambda: None,
) -> dict:
    """Sample every evaluation problem of one run; finished shards of a killed job are taken up again.

    No prompt is cut and no problem left out; those with a prompt longer than ``longest_prompt``, which training leaves
    out, are counted.

    Args:
        path_to_base: folder of the base model and its tokenizer.
        path_to_model: folder of the run's model or adapter.
        path_to_problems: the evaluation split.
        settings: how the pools are drawn.
        threads: CPU threads.
        checkpoints: folder of finished shards.
        path_to_samples: where the samples go.
        run: its name, recipe/objective/seed.
        code: the rule's hash of the code that samples.
        before_writing: called before anything is written; what it raises ends the sampling.

    Returns:
        the folder of its shards, and counts for the manifest.
    """
    torch.set_num_threads(threads)
    check_precision(settings.precision)
    tokenizer = load_tokenizer(Path(path_to_base))
    problems = [Problem(**row) for row in read_artifact("problems", path_to_problems).to_dict("records")]
    chosen = select(problems, settings.levels, settings.problems, settings.selection_seed)
    prompts = encode_prompts(tokenizer, chosen)
    sampler, device = pool_sampler(Path(path_to_base), Path(path_to_model), tokenizer, settings, prompts)
    shards = work_folder(checkpoints, run, code, settings.plain(), [path_to_base, path_to_model, path_to_problems])
    problem_ids = [problem.problem_id for problem in chosen]
    pools = sample_in_shards(
        sampler, problem_ids, prompts, shards, settings.problems_per_shard, settings.n_samples, before_writing
    )
    rows = [
        (
            problem_id,
            index,
            completion.tokens,
            completion.finish_reason,
            len(completion.tokens),
            completion.mean_logprob,
        )
        for problem_id, pool in pools
        for index, completion in enumerate(pool)
    ]
    columns = ["problem_id", "sample", "completion", "finish_reason", "n_tokens", "mean_logprob"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["completion"] = tokenizer.batch_decode(frame["completion"].tolist(), skip_special_tokens=True)
    before_writing()
    write_artifact(frame, "samples", path_to_samples)
    return {
        "shards": str(shards),
        "n_problems": len(chosen),
        "n_prompts_too_long": sum(len(prompt) > settings.longest_prompt for prompt in prompts),
        "n_samples": settings.n_samples,
        "cut_by_length": float((frame["finish_reason"] == "length").mean()),
        "device": device,
    }


def pool_sampler(
    base: Path, start: Path, tokenizer, settings: EvaluationSettings, prompts: list[list[int]]
) -> tuple[PoolSampler, str]:
    """The backend that ``settings`` name, with the run's model, and the device that it is on."""
    precision, quantization = settings.precision, settings.quantization
    if settings.backend == "vllm":
        longest = max(map(len, prompts))
        end = end_tokens(GenerationConfig.from_pretrained(base))
        sampler = vllm_sampler(base, start, end, settings.seed, settings, precision, quantization, longest)
        return sampler, "cuda"
    model = load_model(base, start, precision, quantization, trainable=False).eval()
    return transformers_sampler(model, tokenizer, settings.seed, settings), str(model.device)
