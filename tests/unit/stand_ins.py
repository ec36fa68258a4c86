"""Stand-ins for language models: their architectures and kinds of tokenizer, random weights, a few MB.

What is not random is as in the originals: Mistral's grouped-query attention, byte-fallback BPE with `<s>`, `</s>` and
no pad token, and chat template; GPT-2's byte-level BPE with `<|endoftext|>` as its only special token; byte-level BPE
and turns in ChatML with a system turn of its own, of Qwen2.5 and SmolLM2, which tie embeddings and head.
"""

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from compute_aligned.advantages import batch_advantages, batch_weights
from compute_aligned.tasks.protein import PROMPT as PROTEIN_PROMPT
from compute_aligned.tasks.protein import RESIDUES
from compute_aligned.tasks.sources import PROMPT

# Mistral-7B-Instruct-v0.2's, as its tokenizer_config.json holds it.
MISTRAL_CHAT_TEMPLATE = (
    '{%- if messages[0]["role"] == "system" %}\n'
    '    {%- set system_message = messages[0]["content"] %}\n'
    "    {%- set loop_messages = messages[1:] %}\n"
    "{%- else %}\n"
    "    {%- set loop_messages = messages %}\n"
    "{%- endif %}\n"
    "\n"
    "{{- bos_token }}\n"
    "{%- for message in loop_messages %}\n"
    "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{- raise_exception('After the optional system message, conversation roles must alternate "
    "user/assistant/user/assistant/...') }}\n"
    "    {%- endif %}\n"
    '    {%- if message["role"] == "user" %}\n'
    "        {%- if loop.first and system_message is defined %}\n"
    '            {{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}\n'
    "        {%- else %}\n"
    '            {{- " [INST] " + message["content"] + " [/INST]" }}\n'
    "        {%- endif %}\n"
    '    {%- elif message["role"] == "assistant" %}\n'
    '        {{- " " + message["content"] + eos_token}}\n'
    "    {%- else %}\n"
    '        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial '
    'optional system message!") }}\n'
    "    {%- endif %}\n"
    "{%- endfor %}\n"
)
# Its first revision's: no blank before [INST] and before the answer.
FIRST_MISTRAL_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
MISTRAL = SMALL | {"rope_theta": 1e6, "sliding_window": None}  # v0.2 has no window
GPT2 = {"n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 256}


def math_rows(n: int, seed: int = 0) -> list[dict]:
    """Rows with the columns of MATH, all different."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        a, b = rng.randint(2, 99), 100 + i
        rows.append(
            {
                "problem": f"Find $x$ such that $x - {a} = {b}$.",
                "solution": f"Adding ${a}$ to both sides gives\n\\[x = {b} + {a} = \\boxed{{{a + b}}}.\\]",
                "answer": str(a + b),
                "subject": "Algebra",
                "level": f"Level {1 + i % 3}",
            }
        )
    return rows


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-fallback BPE over pieces that begin with a blank, as SentencePiece makes it."""
    texts = [text for row in math_rows(60) for text in (PROMPT.format(**row), row["solution"])]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Replace(" ", "▁")
    # SentencePiece learns no piece with a blank inside; what follows [/INST] starts a new one.
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    special = ["<unk>", "<s>", "</s>"]
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    vocabulary = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces[len(special) :]]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(vocabulary)},
            merges=[tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = MISTRAL_CHAT_TEMPLATE
    return fast


def make_mistral(folder: Path, seed: int = 1, **changes) -> None:
    """Write the stand-in for Mistral-7B-Instruct-v0.2; keywords change its architecture."""
    tokenizer = mistral_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2} | MISTRAL | changes
    torch.manual_seed(seed)
    # As the original's, the configuration names no pad token.
    MistralForCausalLM(MistralConfig(**sizes)).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def protein_text(length: int, rng: random.Random) -> str:
    """A sequence as in FASTA, and so in ProtGPT2's training data: a newline after every 60 residues."""
    sequence = "".join(rng.choices(RESIDUES, k=length))
    return "\n".join(sequence[start : start + 60] for start in range(0, length, 60))


def make_protgpt2(folder: Path, seed: int = 1, **changes) -> None:
    """Write the stand-in for ProtGPT2, without chat template, as it is; keywords change its architecture."""
    rng = random.Random(seed)
    special = "<|endoftext|>"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        # No byte that proteins lack, unlike the original: random weights would draw nothing but invalid sequences.
        [protein_text(150, rng) for _ in range(100)] + [PROTEIN_PROMPT],
        trainers.BpeTrainer(vocab_size=400, special_tokens=[special], show_progress=False),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=special,
        eos_token=special,
        unk_token=special,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = {"vocab_size": len(fast), "bos_token_id": 0, "eos_token_id": 0} | GPT2 | changes
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(folder)


# Of both without tools; the system turn that comes first where a conversation has none.
CHATML_TEMPLATE = (
    "{{%- if messages[0]['role'] != 'system' %}}{{{{- '<|im_start|>system\\n{system}<|im_end|>\\n' }}}}{{%- endif %}}"
    "{{%- for message in messages %}}"
    "{{{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}}}"
    "{{%- endfor %}}"
    "{{%- if add_generation_prompt %}}{{{{- '<|im_start|>assistant\\n' }}}}{{%- endif %}}"
)
SMALL_CHAT = SMALL | {"tie_word_embeddings": True}


def chatml_tokenizer(special: list[str], system: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML's turns; the first special token pads, `<|im_end|>` ends."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [text for row in math_rows(60) for text in (PROMPT.format(**row), row["solution"])],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token=special[0], clean_up_tokenization_spaces=False
    )
    fast.chat_template = CHATML_TEMPLATE.format(system=system)
    return fast


def make_qwen(folder: Path, seed: int = 1) -> None:
    """Write the stand-in for Qwen2.5-0.5B-Instruct, whose generation ends at either of two tokens."""
    tokenizer = chatml_tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    )
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer) + 8, bos_token_id=0, eos_token_id=2, **SMALL_CHAT))
    model.generation_config = GenerationConfig(
        bos_token_id=0, pad_token_id=0, eos_token_id=[2, 0], do_sample=True, temperature=0.7, top_k=20, top_p=0.8
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_smollm(folder: Path, seed: int = 1) -> None:
    """Write the stand-in for SmolLM2-360M-Instruct, a Llama whose `<|im_end|>` pads as well, in its own files."""
    tokenizer = chatml_tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    )
    tokenizer.bos_token, tokenizer.pad_token = "<|im_start|>", "<|im_end|>"
    torch.manual_seed(seed)
    sizes = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2} | SMALL_CHAT
    LlamaForCausalLM(LlamaConfig(**sizes)).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def weighted_advantages(objective, rollouts, settings):
    """Advantages to train on, A~ = w A, and the weights w, both of the rewards' shape and dtype."""
    weights = batch_weights(objective, rollouts, settings)
    return weights * batch_advantages(rollouts.rewards, settings), weights
