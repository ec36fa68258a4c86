"""Seconds per SFT step: the head at supervised positions only (training/sft.py) against TRL's fused head, in one run.

    python benchmarks/gold_completions.py --base results/small/models/base/math \\
        --problems results/small/data/math/train.parquet
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
from trl.trainer.utils import add_fused_lm_head

from compute_aligned.models.loading import add_adapter, load_model, load_tokenizer
from compute_aligned.models.tokenization import IGNORED, encode_example
from compute_aligned.training.sft import gold_completions


def fused_log_p(model, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The same log-probabilities from TRL's fused head."""
    return model(**inputs, use_cache=False, fused_lm_head=True).log_probs.float().sum(dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of a base model")
    parser.add_argument("--problems", type=Path, required=True, help="training problems (Parquet)")
    parser.add_argument("--rows", type=int, default=4, help="sequences per step")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    tokenizer = load_tokenizer(arguments.base)
    model = load_model(arguments.base, arguments.base, "fp32", None, trainable=True)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    model = add_adapter(model, {"r": 16, "alpha": 16, "dropout": 0.0, "target_modules": targets}, seed=0)
    add_fused_lm_head(model.get_base_model())
    rows = pd.read_parquet(arguments.problems).head(arguments.rows)
    examples = [encode_example(tokenizer, r.problem_id, r.prompt, r.answer, 1024) for r in rows.itertuples()]
    width = max(len(example["input_ids"]) for example in examples)

    def padded(key: str, filler: int) -> torch.Tensor:
        return torch.tensor([example[key] + [filler] * (width - len(example[key])) for example in examples])

    inputs = {"input_ids": padded("input_ids", tokenizer.pad_token_id), "labels": padded("labels", IGNORED)}
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    inputs["attention_mask"] = (torch.arange(width) < lengths[:, None]).long()

    seconds: dict[str, list[float]] = {"supervised positions": [], "fused head": []}
    values = {}
    for _ in range(arguments.repeats + 1):  # the first round warms up
        for name, log_p in (
            ("supervised positions", lambda *inputs: gold_completions(*inputs).log_p),
            ("fused head", fused_log_p),
        ):
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                values[name] = log_p(model, inputs)
            (-values[name].sum()).backward()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: sorted(times[1:])[arguments.repeats // 2] for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s per step of {arguments.rows} x {width} tokens")
    print(f"ratio {medians['fused head'] / medians['supervised positions']:.2f}")
    difference = (values["supervised positions"] - values["fused head"]).detach().abs().max()
    print(f"largest difference in log p: {float(difference):.2g} nats")


if __name__ == "__main__":
    main()
