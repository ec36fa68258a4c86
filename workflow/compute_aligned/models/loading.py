"""Models and tokenizers of runs: loaded, given an adapter, checked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from .adapter import Adapter

LINEAR = (torch.nn.Linear, Conv1D)  # what LoRA is added to; GPT-2 has Conv1D, and 4-bit modules are Linear, too
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, checked for what training and sampling rely on.

    Raises:
        ValueError: no chat template, no end-of-sequence token, or none for the start that the template writes.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.chat_template is None:
        raise ValueError(
            f"the tokenizer in {base} has no chat template; prompts are chat turns, "
            "or plain text where the model's source says plain_prompts: true"
        )
    if tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer in {base} has no end-of-sequence token; completions could not end")
    if "bos_token" in tokenizer.chat_template and tokenizer.bos_token_id is None:
        raise ValueError(f"the tokenizer in {base} has no start token, which its chat template writes before a prompt")
    if tokenizer.pad_token_id is None:
        # Labels are masked by position, so a pad token equal to the end token hides no label.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def end_tokens(config: GenerationConfig) -> list[int]:
    """Ids of the tokens each of which ends a completion, as a model's generation_config names them.

    A base model's folder holds what ``base_models`` resolved once, and the runs that start from it hand it on.

    Raises:
        ValueError: it names none.
    """
    ids = config.eos_token_id
    if ids is None:
        raise ValueError("the model's generation_config names no end token; completions could not end")
    return [ids] if isinstance(ids, int) else list(ids)


def load_model(base: Path, start: Path, precision: str, quantization: str | None, trainable: bool):
    """The weights of a run: a whole model, or the base model with the run's adapter, not merged.

    A model that is sampled from is loaded in ``precision``. Weights that are trained are float32, and autocast computes
    in ``precision``. So are adapters, in training and sampling alike, but not the quantised base that one is trained
    on: its 4-bit weights are multiplied in ``precision``, and what is not quantised (embeddings, norms, the head) is
    loaded in it. In float32 it would take twice the memory, and V100s an eighth of their speed.

    Args:
        base: folder of the base model.
        start: folder of a run's result, or ``base`` itself.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        quantization: ``nf4`` (4-bit NormalFloat, double quantisation) or None.
        trainable: whether the weights, or those of an adapter, will be trained further.
    """
    # The backward pass of cuDNN's attention gives NaN on an H100 or H200, where a padded batch is 64 tokens long, or
    # 64 more than a multiple of 128 (pytorch/pytorch#196678). torch has other kernels, as fast.
    torch.backends.cuda.enable_cudnn_sdp(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if trainable and quantization is None else DTYPES[precision]
    options = {"dtype": dtype, "device_map": {"": device}}
    if quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    if not (start / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(start, **options)
    from peft import PeftModel

    model = AutoModelForCausalLM.from_pretrained(base, **options)
    return PeftModel.from_pretrained(model, start, is_trainable=trainable)


def add_adapter(model: PreTrainedModel, adapter: Adapter, seed: int):
    """The model with a new LoRA adapter.

    Args:
        adapter: its size, and the modules that get it.
        seed: seed of the adapter's initial weights.

    Raises:
        ValueError: a target module that the model does not have.
    """
    from peft import LoraConfig, get_peft_model

    linear = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, LINEAR)}
    # peft complains where no name fits, and leaves out without a word those that do not where another does.
    missing = sorted(set(adapter.target_modules) - linear)
    if missing:
        raise ValueError(
            f"the adapter's target_modules name {', '.join(missing)}, which {type(model).__name__} lacks; "
            f"its linear modules are {', '.join(sorted(linear))}"
        )
    torch.manual_seed(seed)
    config = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.target_modules,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def position_ids(mask: torch.Tensor) -> torch.Tensor:
    """Positions that tokens have without padding, shape (rows, length) as the attention mask; 0 for what stands before.

    A model that is given none counts from the left edge, padding included.
    """
    return (mask.cumsum(1) - 1).clamp(min=0)


def sees_distances_alone(model: torch.nn.Module) -> bool:
    """Whether a model's outputs do not depend on where its tokens begin, as with plain rotary embeddings.

    Such a model needs no positions to be right behind padding, and without them it rounds as TRL's own training does.
    Anything else, rotary embeddings that change with the length included, is to be given ``position_ids``.
    """
    rotary = getattr(model.config, "rope_parameters", None)
    return rotary is not None and rotary.get("rope_type") == "default"


@contextmanager
def trainable_weights_kept(model: torch.nn.Module | str) -> Iterator[None]:
    """Keeps the trainable weights as they are while a TRL trainer is made of the model; of a name TRL loads it itself.

    TRL rounds the adapter of a quantised model to bfloat16. It has 8 binary digits: a step of 1e-6 on a weight of 1e-3
    is lost, and at the paper's learning rates nearly all of an adapter stands still.
    """
    parameters = () if isinstance(model, str) else model.parameters()
    kept = [(parameter, parameter.data) for parameter in parameters if parameter.requires_grad]
    yield
    for parameter, data in kept:
        parameter.data = data


def adamw(precision: str) -> str:
    """transformers' name of the AdamW that a run takes; they differ in memory and time alone.

    The plain one holds a temporary as large as the weights on a GPU, the fused one none, and it is the faster one on a
    CPU. Under loss scaling (fp16) it is the plain one: inside the fused one accelerate does not see that a step was
    skipped, and the learning rate would go on. What is trained there is an adapter.
    """
    return "adamw_torch" if precision == "fp16" else "adamw_torch_fused"


def check_precision(precision: str) -> None:
    """Refuse a precision that the device cannot train in, and a GPU that this build of torch has no code for.

    Raises:
        ValueError: fp16 without a GPU, bf16 on a GPU that lacks it, or a GPU that the build leaves out.
    """
    if not torch.cuda.is_available():
        if precision == "fp16":
            raise ValueError("precision fp16 needs a GPU and none was found; wanted fp32 or bf16 on a CPU")
        return
    name, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    if not any(_runs_on(architecture, capability) for architecture in torch.cuda.get_arch_list()):
        raise ValueError(
            f"torch {torch.__version__} has no code for {name} (compute capability {capability[0]}.{capability[1]}), "
            f"only for {', '.join(torch.cuda.get_arch_list())}; wanted another build, for a V100 that for CUDA "
            "12.6"
        )
    if precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ValueError(f"precision bf16 is not supported by {name}; wanted fp16 or fp32")


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether code for an architecture such as sm_86 or compute_90 runs on a GPU of a compute capability.

    Machine code (sm) runs on the same major version from its minor version on, PTX (compute) on all later versions.
    """
    kind, number = re.fullmatch("(sm|compute)_([0-9]+)[a-z]*", architecture).groups()
    built = divmod(int(number), 10)
    return built <= capability and (kind == "compute" or built[0] == capability[0])
