"""Prompts -> pools with transformers: m samples of every problem, batched, seeded per problem and sample."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from ..config.settings.common import SamplingSettings
from ..models.loading import end_tokens, position_ids
from .pools import Completion, PoolSampler


def uniforms(seed: int, problem_id: str, n_samples: int, n_tokens: int) -> np.ndarray:
    """The random numbers of one problem's pool, shape (n_samples, n_tokens), in [0, 1).

    They depend on the run's seed, the problem and the place of sample and token alone, so that a pool does not
    depend on how problems are batched and m samples are the first of 2m.
    """
    digest = hashlib.sha256(f"{seed}|{problem_id}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "big")))
    return generator.random((n_samples, n_tokens))


def transformers_sampler(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, settings: SamplingSettings
) -> PoolSampler:
    """A backend that samples a loaded model.

    Args:
        seed: the run's sampling seed.
        settings: how to draw.
    """

    def sample(problem_ids: Sequence[str], prompts: Sequence[list[int]]) -> Iterator[tuple[int, list[Completion]]]:
        draws = [uniforms(seed, i, settings.n_samples, settings.max_new_tokens) for i in problem_ids]
        return sample_pools(model, tokenizer, prompts, draws, settings)

    return sample


def sample_pools(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    draws: Sequence[np.ndarray],
    settings: SamplingSettings,
) -> Iterator[tuple[int, list[Completion]]]:
    """Sample the pool of every prompt: ``sample_tokens``, the end token left out.

    Yields:
        (index of the prompt, its completions in sample order).
    """
    for index, rows in sample_tokens(model, tokenizer, prompts, draws, settings):
        yield (
            index,
            [
                Completion(
                    tokens=row.tokens[:-1] if row.ended else row.tokens,
                    finish_reason="stop" if row.ended else "length",
                    mean_logprob=row.log_p / len(row.tokens),
                )
                for row in rows
            ],
        )


@contextmanager
def sampling_mode(model: torch.nn.Module) -> Iterator[None]:
    """A model in training, for a while in evaluation mode: without dropout, and with keys and values kept.

    The layers of bitsandbytes have neither and stay as they are: on some CPUs they would, in evaluation mode, repack
    their 4-bit weights for good, rounded and of no use for a backward pass.
    """
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = type(module).__module__.startswith("bitsandbytes.")
        yield
    finally:
        for module in training:
            module.training = True


class Decoded(NamedTuple):
    """One sample: its token ids, an end token last if it ended, and their log-probability under the model itself."""

    tokens: list[int]
    ended: bool
    log_p: float


@torch.inference_mode()
def sample_tokens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    draws: Sequence[np.ndarray],
    settings: SamplingSettings,
) -> Iterator[tuple[int, list[Decoded]]]:
    """Sample every prompt ``settings.n_samples`` times.

    Prompts are sorted by length and padded on the left; each is prefilled once and its key-value cache repeated for
    its samples; finished rows leave the batch.

    Args:
        model: a causal language model; its generation_config names the end tokens.
        tokenizer: gives the pad token.
        prompts: token ids of each prompt.
        draws: ``uniforms`` of each prompt, shape (n_samples, max_new_tokens).
        settings: how to draw.

    Yields:
        (index of the prompt, its samples in order).
    """
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    prompts_per_batch = max(1, settings.rows_per_batch // settings.n_samples)
    for start in range(0, len(order), prompts_per_batch):
        batch = order[start : start + prompts_per_batch]
        pools: dict[int, list[Decoded]] = {i: [] for i in batch}
        # A pool larger than a batch is drawn in several passes over its prompt.
        for first in range(0, settings.n_samples, settings.rows_per_batch):
            rows = np.stack([draws[i][first : first + settings.rows_per_batch] for i in batch])
            decoded = _decode(model, tokenizer, [prompts[i] for i in batch], torch.from_numpy(rows), settings)
            for i, samples in zip(batch, decoded, strict=True):
                pools[i] += samples
        yield from pools.items()


def _decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    draws: Tensor,
    settings: SamplingSettings,
) -> list[list[Decoded]]:
    """Decode draws.shape[1] samples of each prompt; draws has shape (prompts, samples, tokens)."""
    device = model.device
    n_prompts, n_samples, _ = draws.shape
    n_rows = n_prompts * n_samples
    draws = draws.reshape(n_rows, -1).to(device)
    longest = max(len(prompt) for prompt in prompts)
    end = torch.tensor(end_tokens(model.generation_config), device=device)
    input_ids = torch.full((n_prompts, longest), tokenizer.pad_token_id)
    mask = torch.zeros((n_prompts, longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        input_ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    input_ids, mask = input_ids.to(device), mask.to(device)
    output = model(
        input_ids=input_ids,
        attention_mask=mask,
        position_ids=position_ids(mask),
        use_cache=True,
        logits_to_keep=torch.tensor([longest - 1], device=device),  # a bare 1 makes a CPU copy the head in bf16
    )
    cache = output.past_key_values
    for place, layer in enumerate(cache.layers):  # one at a time: two caches of all layers may not fit a GPU
        layer.batch_repeat_interleave(n_samples)
        if type(layer) is DynamicLayer:
            cache.layers[place] = _RoomyLayer(layer, longest + settings.max_new_tokens)
    logits = output.logits[:, -1].repeat_interleave(n_samples, dim=0)
    mask = mask.repeat_interleave(n_samples, dim=0)
    position = mask.sum(1, keepdim=True)

    tokens = torch.full((n_rows, settings.max_new_tokens), tokenizer.pad_token_id)
    lengths = torch.full((n_rows,), settings.max_new_tokens)
    stopped = torch.zeros(n_rows, dtype=torch.bool)
    log_p = torch.zeros(n_rows, dtype=torch.float64)
    # Rows of the batch that are still decoded, as row numbers of the pool, and which of them have ended.
    decoded = torch.arange(n_rows, device=device)
    ended = torch.zeros(n_rows, dtype=torch.bool, device=device)
    for t in range(settings.max_new_tokens):
        token, token_log_p = draw_tokens(logits, draws[decoded, t], settings)
        going_on = ~ended
        rows = decoded[going_on].cpu()
        tokens[rows, t] = token[going_on].cpu()
        log_p[rows] += token_log_p[going_on].double().cpu()
        stops = going_on & torch.isin(token, end)
        stopping_rows = decoded[stops].cpu()
        lengths[stopping_rows] = t + 1
        stopped[stopping_rows] = True
        ended |= stops
        if t + 1 == settings.max_new_tokens or bool(ended.all()):
            break
        if float(ended.float().mean()) >= _DROPPED_SHARE:
            kept = (~ended).nonzero()[:, 0]
            cache.batch_select_indices(kept)
            decoded, ended, token, mask, position = (x[kept] for x in (decoded, ended, token, mask, position))
        mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
        output = model(
            input_ids=token[:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        )
        position = position + 1
        logits = output.logits[:, -1]

    flat = [
        Decoded(ids[:n], stop, lp)
        for ids, n, stop, lp in zip(tokens.tolist(), lengths.tolist(), stopped.tolist(), log_p.tolist(), strict=True)
    ]
    return [flat[start : start + n_samples] for start in range(0, n_rows, n_samples)]


_DROPPED_SHARE = 0.125  # of the rows must have ended before they are dropped: dropping copies the whole cache


class _RoomyLayer(DynamicLayer):
    """A layer of the key-value cache with room for all tokens to come.

    DynamicLayer copies the whole cache for every token; on a CPU that was three quarters of the sampling time of a
    small model.
    """

    def __init__(self, layer: DynamicLayer, capacity: int):
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        n_rows, n_heads, _, _ = layer.keys.shape
        self._room = tuple(x.new_empty(n_rows, n_heads, capacity, x.shape[3]) for x in (layer.keys, layer.values))
        self._fill(0, layer.keys, layer.values)

    def _fill(self, start: int, *new: Tensor) -> tuple[Tensor, Tensor]:
        end = start + new[0].shape[2]
        for room, values in zip(self._room, new, strict=True):
            room[:, :, start:end] = values
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values

    def update(self, key_states, value_states, *args, **kwargs):
        return self._fill(self.get_seq_length(), key_states, value_states)

    def batch_select_indices(self, indices: Tensor) -> None:
        length = self.get_seq_length()
        self._room = tuple(room[indices] for room in self._room)
        self.keys, self.values = (room[:, :, :length] for room in self._room)


def draw_tokens(logits: Tensor, draws: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor]:
    """One token per row, and its log-probability under the model itself, in float32.

    Blocks of rows stay in a processor's cache, where a large vocabulary takes half of the time.

    Args:
        logits: shape (rows, vocabulary).
        draws: uniform in [0, 1), shape (rows,).
    """
    n_rows = max(1, _BLOCK // logits.shape[1])
    tokens, log_p = [], []
    for block, block_draws in zip(logits.split(n_rows), draws.split(n_rows), strict=True):
        block = block.float()
        tokens.append(choose_tokens(block, block_draws, settings))
        log_p.append(block.gather(1, tokens[-1][:, None])[:, 0] - block.logsumexp(dim=1))
    return torch.cat(tokens), torch.cat(log_p)


_BLOCK = 2**20  # logits


def choose_tokens(logits: Tensor, draws: Tensor, settings: SamplingSettings) -> Tensor:
    """One token per row by inverting the distribution function at ``draws``.

    The distribution is the tempered softmax restricted to the ``top_k`` most probable tokens, then to the nucleus:
    the smallest set of most probable tokens whose mass reaches ``top_p``.

    Args:
        logits: shape (rows, vocabulary), float32.
        draws: uniform in [0, 1), shape (rows,).
    """
    probabilities = torch.softmax(logits / settings.temperature, dim=1)
    vocabulary = probabilities.shape[1]
    n_kept = min(settings.top_k or vocabulary, vocabulary)
    if settings.top_k == 0 and settings.top_p < 1 and vocabulary > _NUCLEUS_GUESS:
        return _from_nucleus(probabilities, draws, settings.top_p, _NUCLEUS_GUESS)
    values, indices = probabilities.topk(n_kept, dim=1)
    return _invert(values / values.sum(dim=1, keepdim=True), indices, draws, settings.top_p)


def _from_nucleus(probabilities: Tensor, draws: Tensor, top_p: float, guess: int) -> Tensor:
    """As ``choose_tokens``: sorting a large vocabulary costs more than the model, and most nuclei are small."""
    n_sorted = min(guess, probabilities.shape[1])
    values, indices = probabilities.topk(n_sorted, dim=1)
    chosen = _invert(values, indices, draws, top_p)
    wide = values.sum(dim=1) < top_p
    if n_sorted < probabilities.shape[1] and bool(wide.any()):
        chosen[wide] = _from_nucleus(probabilities[wide], draws[wide], top_p, 16 * guess)
    return chosen


_NUCLEUS_GUESS = 64


def _invert(values: Tensor, indices: Tensor, draws: Tensor, top_p: float) -> Tensor:
    """Inverse of the nucleus' distribution function; values are sorted downwards."""
    cumulated = values.double().cumsum(dim=1)
    in_nucleus = cumulated - values < top_p
    mass = torch.where(in_nucleus, cumulated, 0).amax(dim=1)
    place = torch.searchsorted(cumulated, (draws * mass)[:, None], right=True)[:, 0]
    # Rounding may put a draw just below 1 on the first token beyond the nucleus.
    place = torch.minimum(place, in_nucleus.sum(dim=1) - 1)
    return indices.gather(1, place[:, None])[:, 0]
