"""What the sampling backends share: settings, completions, and shards that a killed job takes up again."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SamplingSettings:
    """How completions are drawn.

    Attributes:
        n_samples: pool size m.
        max_new_tokens: longest completion in tokens, end token included.
        temperature: divisor of the logits.
        top_p: nucleus mass; 1 keeps the whole vocabulary.
        top_k: number of most probable tokens kept; 0 keeps all.
        rows_per_batch: sequences decoded at once; changes speed and memory, not the pools.
    """

    n_samples: int
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    rows_per_batch: int


@dataclass(frozen=True)
class Completion:
    """One sample: its token ids (end token excluded), why it ended, and its mean log-probability per token.

    The log-probability is the model's own (temperature 1, whole vocabulary), end token included.
    """

    tokens: list[int]
    finish_reason: str  # "stop" (end token) or "length"
    mean_logprob: float


# A backend: (problem ids, token ids of their prompts) -> (index of the prompt, its completions in sample order).
PoolSampler = Callable[[Sequence[str], Sequence[list[int]]], Iterator[tuple[int, list[Completion]]]]


def sample_in_shards(
    sample_pools: PoolSampler,
    problem_ids: Sequence[str],
    prompts: Sequence[list[int]],
    folder: Path,
    problems_per_shard: int,
) -> Iterable[tuple[str, list[Completion]]]:
    """Sample all pools, keeping every finished shard of problems, so that a kill loses one shard at most.

    Args:
        sample_pools: the backend.
        problem_ids: of all problems.
        prompts: token ids of their prompts.
        folder: where shards lie; it must belong to these very inputs and settings.
        problems_per_shard: pools in one shard.

    Yields:
        (problem_id, completions) in the order of ``problem_ids``.
    """
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(problem_ids), desc="problems", unit="problem", mininterval=5) as progress:
        for start in range(0, len(problem_ids), problems_per_shard):
            ids = problem_ids[start : start + problems_per_shard]
            shard = folder / f"shard-{start // problems_per_shard:05d}.json"
            if not shard.is_file():
                pools = {}
                for index, pool in sample_pools(ids, prompts[start : start + problems_per_shard]):
                    pools[ids[index]] = [[c.tokens, c.finish_reason, c.mean_logprob] for c in pool]
                    progress.update()
                partial = shard.with_suffix(".partial")
                partial.write_text(json.dumps(pools))
                partial.rename(shard)
            else:
                progress.update(len(ids))
            pools = json.loads(shard.read_text())
            yield from ((i, [Completion(*row) for row in pools[i]]) for i in ids)
