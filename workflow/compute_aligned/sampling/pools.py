"""What the sampling backends share: completions, and shards that a killed job takes up again."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..provenance.unfinished import set_aside
from ..provenance.writing import whole


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
    n_samples: int,
    before_writing: Callable[[], None] = lambda: None,
) -> Iterable[tuple[str, list[Completion]]]:
    """Sample all pools, keeping every finished shard of problems, so that a kill loses one shard at most.

    A shard that is cut, changed, or not of these problems and pool size is set aside and drawn again.

    Args:
        sample_pools: the backend.
        problem_ids: of all problems.
        prompts: token ids of their prompts.
        folder: where shards lie; it must belong to these very inputs and settings.
        problems_per_shard: pools in one shard.
        n_samples: completions in one pool.
        before_writing: called before a shard is written; what it raises ends the sampling.

    Yields:
        (problem_id, completions) in the order of ``problem_ids``.

    Raises:
        ValueError: the backend gave other pools than asked for.
    """
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(problem_ids), desc="problems", unit="problem", mininterval=5) as progress:
        for start in range(0, len(problem_ids), problems_per_shard):
            ids = problem_ids[start : start + problems_per_shard]
            shard = folder / f"shard-{start // problems_per_shard:05d}.json"
            pools = _whole_shard(shard, ids, n_samples)
            if pools is None:
                pools = {}
                for index, pool in sample_pools(ids, prompts[start : start + problems_per_shard]):
                    pools[ids[index]] = [[c.tokens, c.finish_reason, c.mean_logprob] for c in pool]
                    progress.update()
                fault = _fault_in(pools, ids, n_samples)
                if fault is not None:
                    raise ValueError(f"the sampler's pools are not those asked for: {fault}")
                before_writing()
                with whole(shard) as partial:
                    partial.write_text(json.dumps({"sha256": _sha256(pools), "pools": pools}))
            else:
                progress.update(len(ids))
            yield from ((i, [Completion(*row) for row in pools[i]]) for i in ids)


def _whole_shard(shard: Path, ids: Sequence[str], n_samples: int) -> dict[str, list] | None:
    """The pools of a shard that is as it was written; else None, and what there was is set aside."""
    try:
        content = json.loads(shard.read_text())
        pools = content["pools"]
        fault = (
            f"{shard} is not what was written: its SHA-256 differs"
            if _sha256(pools) != content["sha256"]
            else _fault_in(pools, ids, n_samples)
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        fault = f"{shard} cannot be read: {error.strerror}"
    except (ValueError, TypeError, KeyError):
        fault = f"{shard} is cut or was changed"
    if fault is None:
        return pools
    set_aside(shard, fault)
    return None


def _fault_in(pools: dict[str, list], ids: Sequence[str], n_samples: int) -> str | None:
    """What pools lack to be those of some problems, or None."""
    if set(pools) != set(ids):
        return f"found pools of {sorted(pools)}, wanted those of {sorted(ids)}"
    wrong = next((problem_id for problem_id in ids if len(pools[problem_id]) != n_samples), None)
    return None if wrong is None else f"problem {wrong!r} has {len(pools[wrong])} samples, wanted {n_samples}"


def _sha256(pools: dict[str, list]) -> str:
    """SHA-256 of pools, the same before they are written and after they are read."""
    return hashlib.sha256(json.dumps(pools).encode()).hexdigest()
