"""Pre-training of a small language model from its random weights, on texts that each begin at the model's start."""

import tempfile
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from .tokenization import IGNORED


def pretrain(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], settings: dict) -> None:
    """Train a model in place by next-token cross-entropy, with transformers' Trainer.

    Args:
        model: its ``max_position_embeddings`` are the length of a row.
        tokenizer: has a BOS and an EOS token.
        texts: what to learn; a longer text is cut, and only one that ends within its row teaches the EOS token.
        settings: ``seed``, ``steps``, ``batch_size`` and ``learning_rate`` (peak; linear decay to 0).
    """
    rows = [encode_text(tokenizer, text, model.config.max_position_embeddings) for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=settings["seed"],
            data_seed=settings["seed"],
            max_steps=settings["steps"],
            per_device_train_batch_size=settings["batch_size"],
            optim="adamw_torch_fused",
            learning_rate=settings["learning_rate"],
            lr_scheduler_type="linear",
            warmup_steps=0,
            weight_decay=0.01,
            max_grad_norm=1.0,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            logging_steps=max(1, settings["steps"] // 10),
            report_to="none",
            dataloader_pin_memory=False,
        )
        Trainer(model=model, args=arguments, train_dataset=rows).train()
    model.eval()


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, length: int) -> dict[str, list[int]]:
    """A row of ``length`` tokens: BOS, the text, EOS, cut at the end or padded with tokens that carry no label."""
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text[:length], add_special_tokens=False), tokenizer.eos_token_id]
    ids = ids[:length]
    n_padding = length - len(ids)
    return {
        "input_ids": ids + [tokenizer.eos_token_id] * n_padding,
        "attention_mask": [1] * len(ids) + [0] * n_padding,
        # By position: the padding is the end token, which must be learned where the text ends and nowhere else.
        "labels": ids + [IGNORED] * n_padding,
    }
