"""The tokens that all rows of a batch begin with (a chat template's system turn, an instruction): read once for all."""

import torch

from .loading import position_ids
from .tokenization import IGNORED

# Fewer tokens are not worth a call of the model, and a small model with short prompts rounds as it would without.
SHORTEST = 16


def after_common_prefix(
    model: torch.nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> tuple[dict, int]:
    """What a causal language model is to be called with, so that it reads a common prefix once and not in each row.

    The other tokens see the prefix by its keys and values, through which its gradient flows: outputs and gradients are
    those of whole rows, to rounding. On a GPU, where small batches wait for the calls of kernels, and with gradient
    checkpointing, which keeps no keys, rows stay whole. An adapter's dropout falls on the prefix once for all rows.

    Args:
        model: in training or not.
        input_ids: shape (rows, length), padded on either side.
        attention_mask: of the same shape.
        labels: of the same shape, ``IGNORED`` where nothing is supervised. No prefix reaches the first place whose
            output is.

    Returns:
        the model's inputs, labels not among them, and the number of columns that they are shorter by.
    """
    whole = {"input_ids": input_ids, "attention_mask": attention_mask}
    n_rows, length = input_ids.shape
    if n_rows == 1 or input_ids.device.type != "cpu" or _checkpoints(model):
        return whole, 0
    columns = torch.arange(length)
    starts = attention_mask.argmax(dim=1, keepdim=True)
    first_outputs = (labels[:, 1:] != IGNORED).int().argmax(dim=1, keepdim=True)
    longest = int((first_outputs - starts).min())
    if longest < SHORTEST:
        return whole, 0
    beginnings = input_ids.gather(1, starts + columns[:longest])
    shared = int((beginnings == beginnings[:1]).all(dim=0).int().cumprod(dim=0).sum())
    if shared < SHORTEST:
        return whole, 0
    nowhere = columns[:0]  # needs no logits
    cache = model(input_ids=beginnings[:1, :shared], use_cache=True, logits_to_keep=nowhere).past_key_values
    cache.batch_repeat_interleave(n_rows)
    cut = int(starts.min()) + shared
    own = attention_mask * (columns >= starts + shared)  # where a row begins later, its part of the prefix is padding
    return {
        "input_ids": input_ids[:, cut:],
        "attention_mask": torch.cat([own.new_ones(n_rows, shared), own[:, cut:]], dim=1),
        "position_ids": position_ids(attention_mask)[:, cut:],
        "past_key_values": cache,
    }, cut


def _checkpoints(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
