"""The arithmetic base model: a corpus without evaluation problems, rows of whole texts, a manifest of what it knows."""

import dataclasses
import json
import re

import pandas as pd
import pytest
import torch
from make_base_model import write_base_model
from safetensors.torch import load_file

from compute_aligned.models.making import character_tokenizer, make_base_model
from compute_aligned.models.pretraining import encode_texts, pack
from compute_aligned.models.sources import ArithmeticScratch
from compute_aligned.models.tokenization import IGNORED, encode_prompt
from compute_aligned.provenance.artifacts import write_artifact
from compute_aligned.tasks.arithmetic import ALPHABET, SHORT_SHARE, WORDS, generate_splits
from compute_aligned.tasks.arithmetic_corpus import CHAIN_SHARE, Text, generate_corpus

SIZES = {"train": 6500, "validation": 300, "test": 300}
SOURCE = ArithmeticScratch(
    kind="arithmetic_scratch",
    seed=1,
    architecture={
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "tie_word_embeddings": True,
    },
    held_out="math",
    corpus_size=400,
    row_length=64,
    steps=30,
    batch_size=8,
    learning_rate=3e-3,
)


@pytest.fixture(scope="module")
def splits():
    return generate_splits(1, SIZES)


@pytest.fixture(scope="module")
def held_out(splits):
    return [*splits["validation"], *splits["test"]]


@pytest.fixture(scope="module")
def corpus(held_out):
    return generate_corpus(1, 8000, {problem.prompt for problem in held_out})


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(ALPHABET, WORDS)


def test_no_text_of_the_corpus_holds_an_evaluation_problem(corpus, held_out):
    texts = "\n\n".join("\n".join(part for part in text if part is not None) for text in corpus)
    assert not [problem.prompt for problem in held_out if problem.prompt in texts]
    # A corpus that knows of none would hold many of them.
    free = "\n\n".join("\n".join(part for part in text if part) for text in generate_corpus(1, 8000, ()))
    assert sum(problem.prompt in free for problem in held_out) > 50


def test_every_equation_of_the_corpus_is_true(corpus):
    lines = [line for _, text in corpus for line in text.split("\n") if "=" in line]
    assert len(lines) > 8000
    for line in lines:
        left, right = line.split("=")
        assert re.fullmatch(r"-?\d+[-+*]\d+", left) and eval(left) == int(right), line


def test_turns_are_answered_rightly_and_half_of_them_shortly(corpus):
    turns = [text for text in corpus if text.problem is not None]
    assert len(turns) / len(corpus) == pytest.approx(1 - CHAIN_SHARE, abs=0.02)
    for problem, text in turns:
        assert re.fullmatch(r"[-+*()\d]+", problem)
        assert int(re.search(r"\\boxed\{(-?\d+)\}$", text)[1]) == eval(problem)
    assert sum("=" not in text for _, text in turns) / len(turns) == pytest.approx(SHORT_SHARE, abs=0.02)


def test_a_chain_goes_on_from_the_value_before_it_while_that_is_a_plain_number(corpus):
    chains = [text.split("\n") for problem, text in corpus if problem is None]
    assert {len(lines) for lines in chains} == {3, 4, 5}
    for lines in chains:
        for before, line in zip(lines, lines[1:], strict=False):
            value = int(before.split("=")[1])
            if value >= 2:
                assert re.match(r"-?\d+", line)[0] == str(value)


def test_the_corpus_is_the_same_for_the_same_seed_and_a_smaller_one_begins_it(corpus, held_out):
    prompts = {problem.prompt for problem in held_out}
    assert generate_corpus(1, 50, prompts) == corpus[:50]
    assert generate_corpus(2, 50, prompts) != corpus[:50]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_hold_whole_texts_and_every_text_once(tokenizer, corpus):
    examples = list(encode_texts(tokenizer, corpus[:200], 64))
    rows = pack(examples, 64, tokenizer.pad_token_id)
    assert {len(column) for row in rows for column in row.values()} == {64}
    tokens = [token for row in rows for token in row["input_ids"][: sum(row["attention_mask"])]]
    assert tokens == [token for example in examples for token in example["input_ids"]]
    for row in rows:
        n_tokens = sum(row["attention_mask"])
        assert row["input_ids"][n_tokens - 1] == tokenizer.eos_token_id
        assert set(row["labels"][n_tokens:]) <= {IGNORED}
    assert len(rows) < 0.65 * len(examples)


def test_of_a_turn_the_solution_is_learnt_and_of_a_chain_all_of_it(tokenizer):
    turn, chain = encode_texts(tokenizer, [Text("2+3", "2+3=5\n\\boxed{5}"), Text(None, "2+3=5\n5-4=1")], 64)
    n_prompt = len(encode_prompt(tokenizer, "2+3"))
    assert turn["labels"] == [IGNORED] * n_prompt + turn["input_ids"][n_prompt:]
    assert tokenizer.decode(turn["labels"][n_prompt:]) == "2+3=5\n\\boxed{5}<|end|>"
    assert chain["labels"] == chain["input_ids"] and tokenizer.decode(chain["labels"]) == "2+3=5\n5-4=1<|end|>"


def test_a_text_longer_than_a_row_is_refused(tokenizer):
    with pytest.raises(ValueError, match="a text has 46 tokens, more than a row of row_length 20 holds"):
        pack(encode_texts(tokenizer, [Text(None, "22+33=55\n" * 5)], 20), 20, tokenizer.pad_token_id)


# --- the model -------------------------------------------------------------------------------------------------------


def test_the_manifest_has_loss_and_success_rate_on_validation(tmp_path, splits):
    paths = []
    for name in ("validation", "test"):
        frame = pd.DataFrame([dataclasses.asdict(problem) for problem in splits[name][:20]])
        paths.append(str(tmp_path / f"{name}.parquet"))
        write_artifact(frame, "problems", paths[-1])
    facts = write_base_model(SOURCE, str(tmp_path / "base"), paths)
    losses = [row["loss"] for row in facts["pretraining_loss"]]
    assert len(losses) == 10 and losses[-1] < losses[0] - 0.3
    assert 0 <= facts["validation_success_rate"] <= 1
    json.dumps(facts)  # as the manifest keeps it


def test_pre_training_is_the_same_for_the_same_seed(tmp_path, held_out):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        make_base_model(SOURCE | {"steps": 5, "seed": seed}, tmp_path / name, held_out)
    one, again, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "again", "other"))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
