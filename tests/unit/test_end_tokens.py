"""One set of end tokens for labels, GRPO and the samplers, and no sampling setting from a model's own folder."""

import json

import pytest
import torch
from conftest import EVALUATION, SOURCE
from make_base_model import write_base_model
from test_grpo import ADVANTAGES, RIGHT, SETTINGS
from transformers import AutoTokenizer, GenerationConfig

from compute_aligned.advantages import rl_objective
from compute_aligned.models.loading import end_tokens, load_model, load_tokenizer
from compute_aligned.models.making import make_base_model
from compute_aligned.models.sources import Folder
from compute_aligned.models.tokenization import encode_example, encode_prompt, turn_end
from compute_aligned.sampling import evaluation as sample_script
from compute_aligned.sampling.transformers_backend import sample_pools, uniforms
from compute_aligned.training.grpo import ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset

# What a hub model might bring along: none of it may act.
OWN = {
    **{"do_sample": True, "temperature": 0.3, "top_k": 2, "top_p": 0.5, "min_p": 0.4, "typical_p": 0.6},
    **{"repetition_penalty": 3.0, "no_repeat_ngram_size": 2, "epsilon_cutoff": 0.2, "suppress_tokens": [5, 6]},
}


@pytest.fixture(scope="module")
def two_ends(tmp_path_factory):
    """A base model whose turns end with one token and whose tokenizer names another, as those of several hub models."""
    made = tmp_path_factory.mktemp("made")
    make_base_model(SOURCE, made)
    tokenizer = AutoTokenizer.from_pretrained(made)
    tokenizer.eos_token = "<|pad|>"  # the template still ends turns with <|end|>
    tokenizer.save_pretrained(made)
    pad, end = tokenizer.convert_tokens_to_ids(["<|pad|>", "<|end|>"])
    GenerationConfig(eos_token_id=[pad, 7], **OWN).save_pretrained(made)
    base = tmp_path_factory.mktemp("models") / "base"
    facts = write_base_model(Folder(kind="folder", path=str(made)), str(base))
    return base, sorted({pad, 7, end}), facts


@pytest.fixture
def make_trainer(splits, tmp_path):
    def make(base, model=None):
        return ComputeAlignedGRPOTrainer(
            model=model or load_model(base, base, "fp32", None, trainable=True),
            args=grpo_arguments(SETTINGS | {"steps": 1, "max_new_tokens": 40}, tmp_path / "work"),
            train_dataset=prompts_dataset(splits["train"][:24]),
            processing_class=load_tokenizer(base),
            reward_funcs=RIGHT,
            objective=rl_objective("grpo"),
            advantage_settings=ADVANTAGES["grpo"],
            loss="sequence",
        )

    return make


def test_the_set_is_resolved_where_the_base_is_made_and_recorded(two_ends):
    base, ends, facts = two_ends
    assert facts["end_token_ids"] == ends
    written = json.loads((base / "generation_config.json").read_text())
    assert written.pop("eos_token_id") == ends
    assert set(written) == {"transformers_version"}


def test_a_model_with_one_end_token_has_one(base, tokenizer):
    assert end_tokens(GenerationConfig.from_pretrained(base)) == [tokenizer.eos_token_id]
    with pytest.raises(ValueError, match="names no end token"):
        end_tokens(GenerationConfig())


def test_a_label_ends_with_the_templates_token_which_is_in_the_set(two_ends):
    base, ends, _ = two_ends
    tokenizer = load_tokenizer(base)
    labels = encode_example(tokenizer, "p", "1+2", "3", 50)["labels"]
    assert labels[-1] == turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("<|end|>") in ends
    assert labels[-1] != tokenizer.eos_token_id


def test_grpo_ends_completions_at_each_of_them_and_at_nothing_else(two_ends, make_trainer):
    base, ends, _ = two_ends
    trainer = make_trainer(base)
    batches = []
    generate = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: batches.append(generate(inputs)) or batches[-1]
    trainer.train()
    found = set()
    for ids, mask in zip(batches[0]["completion_ids"], batches[0]["completion_mask"].bool(), strict=True):
        *before, last = ids[mask].tolist()
        assert not set(before) & set(ends)
        assert last in ends or len(before) == 39
        found |= {last} & set(ends)
    assert len(found) > 1


def test_grpo_draws_as_the_config_says_whatever_the_model_brings_along(two_ends, make_trainer):
    folder, ends, _ = two_ends
    drawn = []
    for own in ({}, OWN):
        model = load_model(folder, folder, "fp32", None, trainable=True)
        model.generation_config = GenerationConfig(eos_token_id=ends, **own)
        trainer = make_trainer(folder, model)
        (prompt,), _, _ = trainer._tokenize_prompts([trainer.train_dataset[0]["prompt"]])
        drawn.append(trainer._generate_single_turn([prompt] * 64, None, {}, 64)[0])
        seen = {token for completion in drawn[-1] for token in completion}
        assert set(OWN["suppress_tokens"]) <= seen and len(seen) > 20
        assert max(map(len, drawn[-1])) == 40
    assert drawn[0] == drawn[1]


def test_our_sampler_ends_completions_at_each_of_them(two_ends, splits):
    base, ends, _ = two_ends
    tokenizer, model = load_tokenizer(base), load_model(base, base, "fp32", None, trainable=False).eval()
    prompt = encode_prompt(tokenizer, splits["train"][0].prompt)
    draws = uniforms(1, "p", 64, 40)
    wide = {"n_samples": 64, "max_new_tokens": 40, "rows_per_batch": 64}
    ((_, pool),) = sample_pools(model, tokenizer, [prompt], [draws], EVALUATION | wide)
    assert any(c.finish_reason == "stop" for c in pool)
    for completion in pool:
        assert not set(completion.tokens) & set(ends)
    # The first token of each sample by a plain forward pass: it stops there where that token is one of the set.
    with torch.no_grad():
        p = model(input_ids=torch.tensor([prompt])).logits[0, -1].double().softmax(dim=0)
    chance = float(p[ends].sum())
    share = sum(not c.tokens for c in pool) / 64
    assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 64) ** 0.5)


def test_vllm_is_given_the_same_set(two_ends, monkeypatch):
    base, ends, _ = two_ends
    given = []
    monkeypatch.setattr(sample_script, "vllm_sampler", lambda *args: given.append(args))
    sample_script.pool_sampler(base, base, load_tokenizer(base), EVALUATION | {"backend": "vllm"}, [[1, 2]])
    assert given[0][2] == ends
