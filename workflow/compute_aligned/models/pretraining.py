"""Pre-training of a small language model from its random weights."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from ..tasks.arithmetic_corpus import Text
from .sources import ArithmeticScratch, ProteinScratch
from .tokenization import IGNORED, encode_example


def pretrain(
    model: PreTrainedModel, rows: Sequence[dict[str, list[int]]], source: ArithmeticScratch | ProteinScratch
) -> list[dict[str, float]]:
    """Train a model in place by next-token cross-entropy, with transformers' Trainer.

    Args:
        model: a causal language model.
        rows: ``input_ids``, ``attention_mask`` and ``labels``, all of one length (``encode_text`` or ``pack``).
        source: its ``seed``, ``steps``, ``batch_size`` and ``learning_rate`` (peak; linear decay to 0).

    Returns:
        the loss, in nats per token with a label, as means over a tenth of the steps each: ``step`` and ``loss``.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=source.seed,
            data_seed=source.seed,
            max_steps=source.steps,
            per_device_train_batch_size=source.batch_size,
            optim="adamw_torch_fused",
            learning_rate=source.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0,
            weight_decay=0.01,
            max_grad_norm=1.0,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            logging_steps=max(1, source.steps // 10),
            report_to="none",
            dataloader_pin_memory=False,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
    model.eval()
    return [{"step": row["step"], "loss": row["loss"]} for row in trainer.state.log_history if "loss" in row]


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, length: int) -> dict[str, list[int]]:
    """A row of ``length`` tokens: BOS, the text, EOS, cut at the end or padded with tokens that carry no label.

    Only a text that ends within its row teaches the EOS token.
    """
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text[:length], add_special_tokens=False), tokenizer.eos_token_id]
    return _padded(ids[:length], ids[:length], length, tokenizer.eos_token_id)


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Iterable[Text], length: int) -> Iterator[dict]:
    """Token ids and labels of an arithmetic corpus: of a turn the solution is learnt alone, of a chain all of it.

    The problems of turns carry no labels, as in fine-tuning: which digits they have is chance.

    Args:
        tokenizer: its EOS token ends a chain; its chat template ends a turn.
        texts: what to learn.
        length: the longest text in tokens; ``pack`` refuses a longer one.
    """
    for place, (problem, text) in enumerate(texts):
        if problem is None:
            ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
            yield {"input_ids": ids, "labels": ids}
        else:
            yield encode_example(tokenizer, f"{place} of the corpus", problem, text, length + 1)


def pack(examples: Iterable[dict[str, list[int]]], length: int, padding: int) -> list[dict[str, list[int]]]:
    """Rows of ``length`` tokens that hold whole examples, one after the other.

    An example sees those before it in its row, as usual in pre-training; what it has to learn does not depend on them.

    Args:
        examples: ``input_ids`` and ``labels``.
        length: tokens of a row.
        padding: token that fills the end of a row, without a label.

    Raises:
        ValueError: an example is longer than a row.
    """
    rows, ids, labels = [], [], []
    for example in examples:
        n_tokens = len(example["input_ids"])
        if n_tokens > length:
            raise ValueError(f"a text has {n_tokens} tokens, more than a row of row_length {length} holds")
        if len(ids) + n_tokens > length:
            rows.append(_padded(ids, labels, length, padding))
            ids, labels = [], []
        ids, labels = ids + example["input_ids"], labels + example["labels"]
    return [*rows, _padded(ids, labels, length, padding)]


def _padded(ids: list[int], labels: list[int], length: int, padding: int) -> dict[str, list[int]]:
    n_padding = length - len(ids)
    return {
        "input_ids": ids + [padding] * n_padding,
        "attention_mask": [1] * len(ids) + [0] * n_padding,
        # By position: the padding may be the end token, which must be learned where a text ends and nowhere else.
        "labels": labels + [IGNORED] * n_padding,
    }
