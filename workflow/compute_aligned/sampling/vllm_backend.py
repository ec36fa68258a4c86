"""Pools from vLLM, an optional backend: the same distribution and the same table as ``sampling``, drawn by its engine.

Its random numbers are its own, and it rounds in other places, so a pool of vLLM is another sample of the same model.
Written against vllm 0.30's offline API.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..config.settings.common import SamplingSettings
from .pools import Completion, PoolSampler

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
ADAPTER_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the limits on LoRA's r that vLLM can be given


def vllm_sampler(
    base: Path,
    start: Path,
    end: Sequence[int],
    seed: int,
    settings: SamplingSettings,
    precision: str,
    quantization: str | None,
    longest_prompt: int,
) -> PoolSampler:
    """A backend that samples a run's model in a vLLM engine of its own.

    An adapter is served on the base model, not merged into it: merging into 4-bit weights would change the outputs.

    Args:
        base: folder of the base model and its tokenizer.
        start: folder of the run's model or adapter.
        end: ids of the tokens each of which ends a completion.
        seed: the run's sampling seed.
        settings: how to draw.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        quantization: ``nf4`` or None; vLLM quantises while it loads, to 4-bit NormalFloat with double quantisation.
        longest_prompt: most tokens of a prompt, which with the completion's decide how much memory a sequence may take.

    Raises:
        ValueError: vLLM is not installed.
    """
    # Read when vllm is imported. In one process the engine's schedule, and so its rounding, is the same in every run.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    try:
        from vllm import LLM, SamplingParams
        from vllm.lora.request import LoRARequest
    except ImportError as error:
        raise ValueError(
            "sampling_backend is vllm, which is not installed: "
            "pip install --constraint constraints.txt '.[workflow,report,vllm]' in an environment of Python 3.13, "
            "or run snakemake with --software-deployment-method conda (envs/vllm.yaml)"
        ) from error

    adapter = start / "adapter_config.json"
    options, lora_request = {}, None
    if adapter.is_file():
        rank = json.loads(adapter.read_text())["r"]
        options = {"enable_lora": True, "max_lora_rank": min(limit for limit in ADAPTER_RANKS if limit >= rank)}
        lora_request = LoRARequest("run", 1, str(start))
    engine = LLM(
        model=str(start if lora_request is None else base),
        tokenizer=str(base),
        dtype=DTYPES[precision],
        quantization="bitsandbytes" if quantization == "nf4" else None,
        max_model_len=longest_prompt + settings.max_new_tokens,
        max_num_seqs=settings.rows_per_batch,
        logprobs_mode="raw_logprobs",  # the model's own: temperature 1, whole vocabulary
        generation_config="vllm",  # no defaults from the model's folder
        **options,
    )

    def sample_pools(
        problem_ids: Sequence[str], prompts: Sequence[list[int]]
    ) -> Iterator[tuple[int, list[Completion]]]:
        parameters = [
            SamplingParams(
                n=settings.n_samples,
                seed=problem_seed(seed, problem_id),
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                max_tokens=settings.max_new_tokens,
                stop_token_ids=list(end),
                logprobs=0,  # that of the sampled token alone
                detokenize=False,  # text is made from the tokens as for the other backend
            )
            for problem_id in problem_ids
        ]
        inputs = [{"prompt_token_ids": prompt} for prompt in prompts]
        outputs = engine.generate(inputs, parameters, lora_request=lora_request, use_tqdm=False)
        for index, output in enumerate(outputs):  # in the order of the inputs
            samples = sorted(output.outputs, key=lambda sample: sample.index)
            yield index, [completion_of(sample, end) for sample in samples]

    return sample_pools


def problem_seed(seed: int, problem_id: str) -> int:
    """The seed of one problem's pool, below 2^62.

    vLLM draws sample i with seed + i: m samples are the first of 2m, and no pool depends on the other problems.
    """
    digest = hashlib.sha256(f"{seed}|{problem_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 2


def completion_of(sample, end: Sequence[int]) -> Completion:
    """A sample as vLLM gives it (``CompletionOutput``) as a Completion.

    vLLM's ``token_ids`` hold the end token and its ``cumulative_logprob`` counts it.

    Raises:
        ValueError: the engine gave the sample up, or ended it for another reason than an end token and length.
    """
    tokens = list(sample.token_ids)
    stopped = sample.finish_reason == "stop" and bool(tokens) and tokens[-1] in end
    if not stopped and sample.finish_reason != "length":
        raise ValueError(
            f"vLLM ended a sample with finish_reason {sample.finish_reason!r}, stop_reason {sample.stop_reason!r} and "
            f"last tokens {tokens[-3:]}; wanted an end token ({', '.join(map(str, end))}) or the length limit"
        )
    return Completion(
        tokens=tokens[:-1] if stopped else tokens,
        finish_reason=sample.finish_reason,
        mean_logprob=sample.cumulative_logprob / len(tokens),
    )
