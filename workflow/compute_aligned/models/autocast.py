"""What makes training under autocast faster."""

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from .loading import DTYPES, LINEAR


def prepare_for_autocast(model: torch.nn.Module, precision: str) -> None:
    """Make a model that is trained in half precision faster; one in fp32 is left as it is.

    Float32 matrices that an adapter leaves frozen are kept in the precision that they are multiplied in. Autocast would
    round them anyway, all of them for every token that is sampled: results are the same to the bit. An embedding that
    shares a frozen head's weights stays float32.

    On a CPU attention is computed in float32: its backward pass in bf16 takes three to five times as long there.

    Args:
        model: to be trained; it is changed.
        precision: that of autocast.
    """
    if precision == "fp32":
        return
    for module in model.modules():
        if isinstance(module, LINEAR) and module.weight.dtype == torch.float32:
            for name, parameter in list(module.named_parameters(recurse=False)):
                if not parameter.requires_grad:
                    rounded = torch.nn.Parameter(parameter.detach().to(DTYPES[precision]), requires_grad=False)
                    setattr(module, name, rounded)
    if not torch.cuda.is_available():
        AttentionInterface.register("sdpa_in_float32", _sdpa_in_float32)
        AttentionMaskInterface.register("sdpa_in_float32", sdpa_mask)
        model.set_attn_implementation("sdpa_in_float32")


def _sdpa_in_float32(module, query, key, value, attention_mask, **options):
    with torch.autocast("cpu", enabled=False):
        output, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **options)
    return output.to(query.dtype), None
