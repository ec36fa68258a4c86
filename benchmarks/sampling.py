"""Samples per second of the pool sampler against one prompt at a time, as in the authors' released code.

The other way: ``generate`` on one prompt, four sequences a call, until the pool is full; the prompt is read again in
every call. Same model, prompts, settings and length limit; both draw four samples before the clock starts. With one
thread CPU seconds are counted, which other work on the machine disturbs less.

python benchmarks/sampling.py --base results/tiny/models/base/math --model results/tiny/models/math_sft_pass/ce/seed1 \\
    --problems results/tiny/data/math/validation.parquet --n-problems 20 --n-samples 64 --max-new-tokens 8 \\
    --precision fp32 --rows 4096

SmolLM2, whose folders ``grpo_overhead.py --model smollm2 --keep FOLDER`` makes:

python benchmarks/sampling.py --base FOLDER/base --model FOLDER/adapter --problems FOLDER/problems.parquet \\
    --n-problems 4 --n-samples 64 --max-new-tokens 24 --precision bf16 --threads 1
"""

import argparse
import time
from pathlib import Path

import torch

from compute_aligned.models.loading import DTYPES, load_model, load_tokenizer
from compute_aligned.models.tokenization import encode_prompt
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.sampling.transformers_backend import SamplingSettings, sample_pools, uniforms

SEQUENCES_PER_CALL = 4
TEMPERATURE, TOP_P = 0.8, 0.95


def pools(model, tokenizer, prompts: list[list[int]], settings: SamplingSettings) -> list[int]:
    """Completion lengths of the pool sampler, end token included."""
    draws = [uniforms(1, str(i), settings.n_samples, settings.max_new_tokens) for i in range(len(prompts))]
    return [
        len(completion.tokens) + (completion.finish_reason == "stop")
        for _, pool in sample_pools(model, tokenizer, prompts, draws, settings)
        for completion in pool
    ]


@torch.inference_mode()
def one_prompt_at_a_time(model, tokenizer, prompts: list[list[int]], settings: SamplingSettings) -> list[int]:
    """Completion lengths of ``generate`` in chunks of four, end token included."""
    lengths = []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=model.device)
        for first in range(0, settings.n_samples, SEQUENCES_PER_CALL):
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                max_new_tokens=settings.max_new_tokens,
                num_return_sequences=min(SEQUENCES_PER_CALL, settings.n_samples - first),
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            for row in output[:, len(prompt) :].tolist():
                ended = tokenizer.eos_token_id in row
                lengths.append(row.index(tokenizer.eos_token_id) + 1 if ended else len(row))
    return lengths


def timed(sampler, model, tokenizer, prompts, settings) -> tuple[float, list[int]]:
    sampler(model, tokenizer, prompts[:1], settings | {"n_samples": SEQUENCES_PER_CALL})
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    lengths = sampler(model, tokenizer, prompts, settings)
    return clock() - start, lengths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model and its tokenizer")
    parser.add_argument("--model", type=Path, required=True, help="folder of a run's model or adapter")
    parser.add_argument("--problems", type=Path, required=True, help="problems as Parquet")
    parser.add_argument("--n-problems", type=int, default=20)
    parser.add_argument("--n-samples", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--rows", type=int, default=256, help="sequences decoded at once")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    tokenizer = load_tokenizer(arguments.base)
    model = load_model(arguments.base, arguments.model, arguments.precision, None, trainable=False).eval()
    problems = read_artifact("problems", arguments.problems).head(arguments.n_problems)
    prompts = [encode_prompt(tokenizer, prompt) for prompt in problems["prompt"]]
    settings = SamplingSettings(
        n_samples=arguments.n_samples,
        max_new_tokens=arguments.max_new_tokens,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        top_k=0,
        rows_per_batch=arguments.rows,
    )
    n = len(prompts) * settings.n_samples
    print(f"{len(prompts)} problems x {settings.n_samples} samples, at most {settings.max_new_tokens} tokens,")
    print(f"{arguments.precision}, {model.device}, {torch.get_num_threads()} threads")
    rates = {}
    for name, sampler in [("pools", pools), ("one prompt at a time", one_prompt_at_a_time)]:
        seconds, lengths = timed(sampler, model, tokenizer, prompts, settings)
        assert len(lengths) == n
        rates[name] = n / seconds
        print(f"{name:<22}{n / seconds:10.1f} samples/s {seconds:8.2f} s, mean length {sum(lengths) / n:.2f} tokens")
    print(f"{'ratio':<22}{rates['pools'] / rates['one prompt at a time']:10.1f}")


if __name__ == "__main__":
    main()
