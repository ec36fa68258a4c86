"""Pools: the distribution they are drawn from, what they do not depend on, and what a kill costs."""

import json

import numpy as np
import pytest
import torch
from conftest import SAMPLING
from scipy.stats import binom

from compute_aligned.metrics import pass_at_k
from compute_aligned.models.loading import load_model
from compute_aligned.models.tokenization import encode_example, encode_prompt
from compute_aligned.sampling import transformers_backend as sampling
from compute_aligned.sampling.pools import sample_in_shards
from compute_aligned.sampling.transformers_backend import (
    choose_tokens,
    draw_tokens,
    sample_pools,
    transformers_sampler,
    uniforms,
)


def settings_with(**changes):
    return SAMPLING | changes


@pytest.fixture(scope="module")
def model(base, trained):
    return load_model(base, trained, "fp32", None, trainable=False).eval()


@pytest.fixture(scope="module")
def prompts(splits, tokenizer):
    """Token ids of a few prompts of several lengths."""
    return {p.problem_id: encode_prompt(tokenizer, p.prompt) for p in splits["train"][:10]}


def pools_of(model, tokenizer, prompts, settings, seed=1):
    """problem_id -> completions."""
    ids = list(prompts)
    draws = [uniforms(seed, i, settings.n_samples, settings.max_new_tokens) for i in ids]
    return {ids[i]: pool for i, pool in sample_pools(model, tokenizer, list(prompts.values()), draws, settings)}


def assert_same_pools(one, other):
    assert one.keys() == other.keys()
    for problem_id in one:
        assert [(c.tokens, c.finish_reason) for c in one[problem_id]] == [
            (c.tokens, c.finish_reason) for c in other[problem_id]
        ]
        assert [c.mean_logprob for c in one[problem_id]] == pytest.approx(
            [c.mean_logprob for c in other[problem_id]], abs=1e-4
        )


# --- what pools depend on --------------------------------------------------------------------------------------------


def test_pools_do_not_depend_on_how_many_rows_are_decoded_at_once(model, tokenizer, prompts):
    assert len({len(prompt) for prompt in prompts.values()}) > 1  # so that padding takes part
    expected = pools_of(model, tokenizer, prompts, settings_with(rows_per_batch=1000))
    for rows in (1, 3, 8, 20):
        assert_same_pools(pools_of(model, tokenizer, prompts, settings_with(rows_per_batch=rows)), expected)


def test_pools_do_not_depend_on_order_and_number_of_prompts(model, tokenizer, prompts):
    expected = pools_of(model, tokenizer, prompts, settings_with())
    backwards = dict(reversed(prompts.items()))
    assert_same_pools(pools_of(model, tokenizer, backwards, settings_with()), expected)
    for problem_id in list(prompts)[:3]:
        alone = pools_of(model, tokenizer, {problem_id: prompts[problem_id]}, settings_with())
        assert_same_pools(alone, {problem_id: expected[problem_id]})


def test_m_samples_are_the_first_of_2m(model, tokenizer, prompts):
    few = pools_of(model, tokenizer, prompts, settings_with(n_samples=6))
    many = pools_of(model, tokenizer, prompts, settings_with(n_samples=12, rows_per_batch=5))
    assert_same_pools(few, {problem_id: pool[:6] for problem_id, pool in many.items()})


def test_another_seed_and_another_problem_give_other_samples(model, tokenizer, prompts):
    problem_id, prompt = next(iter(prompts.items()))
    settings = settings_with(n_samples=16, temperature=3.0)
    drawn = {seed: pools_of(model, tokenizer, {problem_id: prompt}, settings, seed)[problem_id] for seed in (1, 2)}
    other = pools_of(model, tokenizer, {"other": prompt}, settings)["other"]
    again = pools_of(model, tokenizer, {problem_id: prompt}, settings)[problem_id]
    assert drawn[1] == again
    assert drawn[1] != drawn[2]
    assert drawn[1] != other


def test_uniforms_are_uniform_and_differ_between_samples_and_places():
    draws = uniforms(7, "p", 200, 50)
    assert draws.min() >= 0 and draws.max() < 1
    assert len(np.unique(draws)) == draws.size
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    expected = draws.size / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # chi-square with 19 degrees of freedom, p = 0.001


# --- one token -------------------------------------------------------------------------------------------------------


def nucleus(logits, temperature, top_p, top_k):
    """Probability of every token, by the textbook: temper, keep the top k, keep the nucleus, renormalise."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    p = np.exp(scaled - scaled.max())
    p /= p.sum()
    order = np.argsort(-p)
    kept = order[: top_k or len(p)]
    inside, mass = [], 0.0
    for token in kept:
        inside.append(token)
        mass += p[token] / p[kept].sum()
        if mass >= top_p:
            break
    result = np.zeros_like(p)
    result[inside] = p[inside] / p[inside].sum()
    return result


GRID = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000


def frequencies(logits, settings):
    """Share of an even grid of draws that falls on each token: the sampler's distribution up to 1/20000."""
    rows = torch.tensor(logits, dtype=torch.float32).expand(len(GRID), -1)
    return np.bincount(choose_tokens(rows, GRID, settings).numpy(), minlength=len(logits)) / len(GRID)


@pytest.mark.parametrize("temperature", [0.5, 0.8, 1.0, 2.0])
@pytest.mark.parametrize(("top_p", "top_k"), [(1.0, 0), (0.95, 0), (0.5, 0), (1.0, 5), (0.9, 5), (0.95, 100), (1.0, 1)])
def test_tokens_follow_the_tempered_truncated_softmax(temperature, top_p, top_k):
    logits = np.random.default_rng(0).normal(scale=2.0, size=29)
    settings = settings_with(temperature=temperature, top_p=top_p, top_k=top_k)
    found, expected = frequencies(logits, settings), nucleus(logits, temperature, top_p, top_k)
    np.testing.assert_allclose(found, expected, atol=1.5 / len(GRID))
    assert ((found > 0) <= (expected > 0)).all()  # not one draw outside the nucleus


@pytest.mark.parametrize("top_p", [0.3, 0.95, 0.999])
@pytest.mark.parametrize("scale", [0.1, 3.0], ids=["flat: the nucleus is wider than the guess", "peaked"])
def test_the_short_cut_for_large_vocabularies_draws_the_same_tokens(monkeypatch, scale, top_p):
    logits = np.random.default_rng(1).normal(scale=scale, size=(3, 1500))
    rows = torch.tensor(logits, dtype=torch.float32).repeat_interleave(500, dim=0)
    draws = GRID[::40].repeat(3)
    settings = settings_with(top_p=top_p, temperature=0.8)
    assert sampling._NUCLEUS_GUESS < 1500
    short = choose_tokens(rows, draws, settings)
    monkeypatch.setattr(sampling, "_NUCLEUS_GUESS", 10**6)
    full = choose_tokens(rows, draws, settings)
    assert (short == full).float().mean() > 0.998  # a draw on a boundary may fall to either side
    sizes = [int((nucleus(row, 0.8, top_p, 0) > 0).sum()) for row in logits]
    for row, size in enumerate(sizes):
        assert len(set(short[500 * row : 500 * (row + 1)].tolist())) <= size
    if scale == 0.1 and top_p > 0.3:
        assert min(sizes) > 256


def test_blocks_of_rows_change_neither_tokens_nor_their_log_probability(monkeypatch):
    logits = torch.randn(50, 300, generator=torch.Generator().manual_seed(3)).bfloat16()
    settings, draws = settings_with(temperature=0.8, top_p=0.9), GRID[::400]
    tokens, log_p = draw_tokens(logits, draws, settings)
    assert (tokens == choose_tokens(logits.float(), draws, settings)).all()
    expected = logits.double().log_softmax(dim=1).gather(1, tokens[:, None])[:, 0]
    torch.testing.assert_close(log_p.double(), expected, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr(sampling, "_BLOCK", 3 * 300)
    assert all(map(torch.equal, draw_tokens(logits, draws, settings), (tokens, log_p)))


def test_a_low_temperature_is_greedy():
    logits = torch.randn(50, 29, generator=torch.Generator().manual_seed(3))
    for draw in (0.0, 0.5, 1 - 1e-12):
        chosen = choose_tokens(logits, torch.full((50,), draw, dtype=torch.float64), settings_with(temperature=1e-4))
        assert (chosen == logits.argmax(dim=1)).all()


def test_the_largest_draw_stays_inside_the_nucleus():
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    draw = torch.tensor([np.nextafter(1, 0)])
    for top_p, last in [(0.5, 0), (0.79, 1), (0.94, 2), (1.0, 3)]:
        token = choose_tokens(torch.tensor(logits[None], dtype=torch.float32), draw, settings_with(top_p=top_p))
        assert int(token) == last


# --- completions -----------------------------------------------------------------------------------------------------


def test_a_completion_ends_at_its_end_token_or_at_the_limit(model, tokenizer, prompts):
    settings = settings_with(n_samples=32, max_new_tokens=3, temperature=1.5)
    completions = [c for pool in pools_of(model, tokenizer, prompts, settings).values() for c in pool]
    assert {c.finish_reason for c in completions} == {"stop", "length"}
    for completion in completions:
        assert tokenizer.eos_token_id not in completion.tokens
        if completion.finish_reason == "stop":
            assert len(completion.tokens) < settings.max_new_tokens
        else:
            assert len(completion.tokens) == settings.max_new_tokens


def test_finished_rows_leave_the_batch_an_eighth_at_a_time_and_a_prompt_is_read_once(
    model, tokenizer, prompts, monkeypatch
):
    rows, forward = [], model.forward

    def counted(*args, **keywords):
        rows.append(tuple(keywords["input_ids"].shape))
        return forward(*args, **keywords)

    monkeypatch.setattr(model, "forward", counted)
    settings = settings_with(n_samples=16, max_new_tokens=4, rows_per_batch=1000)
    pools = pools_of(model, tokenizer, prompts, settings)
    lengths = [len(c.tokens) + (c.finish_reason == "stop") for pool in pools.values() for c in pool]
    assert rows[0] == (len(prompts), max(map(len, prompts.values())))
    decoded, expected = len(lengths), []
    for t in range(1, max(lengths)):
        unfinished = sum(length > t for length in lengths)
        if decoded - unfinished >= decoded / 8:
            decoded = unfinished
        expected.append((decoded, 1))
    assert rows[1:] == expected
    assert decoded < len(lengths)


def test_mean_logprob_is_the_models_own_by_a_separate_forward_pass(model, tokenizer, prompts):
    # Whatever distribution the tokens were drawn from, it is taken at temperature 1 over the whole vocabulary.
    settings = settings_with(n_samples=6, max_new_tokens=5, temperature=1.7, top_p=0.9, rows_per_batch=20)
    for problem_id, pool in pools_of(model, tokenizer, prompts, settings).items():
        for completion in pool:
            said = completion.tokens + [tokenizer.eos_token_id] * (completion.finish_reason == "stop")
            ids = torch.tensor([prompts[problem_id] + said])
            with torch.no_grad():
                log_p = model(input_ids=ids).logits[0].double().log_softmax(dim=-1)
            start = len(prompts[problem_id]) - 1
            own = [float(log_p[start + i, token]) for i, token in enumerate(said)]
            assert completion.mean_logprob == pytest.approx(np.mean(own), abs=1e-4)


def test_sampled_pass_at_k_is_1_minus_the_chance_that_k_samples_all_miss(model, tokenizer, splits):
    n_samples, chances = 400, {}
    for problem in splits["train"]:
        # The gold completion is the whole answer with its end token; p comes from a plain forward pass.
        example = encode_example(tokenizer, problem.problem_id, problem.prompt, problem.answer, 96)
        ids, labels = torch.tensor([example["input_ids"]]), torch.tensor(example["labels"])
        with torch.no_grad():
            log_p = model(input_ids=ids).logits[0, :-1].double().log_softmax(dim=-1)
        places = (labels[1:] != -100).nonzero()[:, 0]
        p = float(log_p[places, labels[1:][places]].sum().exp())
        if 0.02 < p < 0.5:
            gold = [label for label in example["labels"] if label not in (-100, tokenizer.eos_token_id)]
            chances[problem.problem_id] = (p, gold, encode_prompt(tokenizer, problem.prompt))
    assert len(chances) >= 5
    settings = settings_with(n_samples=n_samples, max_new_tokens=6, rows_per_batch=4000)
    prompts = {problem_id: prompt for problem_id, (_, _, prompt) in chances.items()}
    pools = pools_of(model, tokenizer, prompts, settings)
    for k in (1, 4, 16):
        differences, variances = [], []
        by_count = np.array([pass_at_k(n_samples, c, k) for c in range(n_samples + 1)])
        for problem_id, (p, gold, _) in chances.items():
            correct = sum(c.tokens == gold and c.finish_reason == "stop" for c in pools[problem_id])
            differences.append(pass_at_k(n_samples, correct, k) - (1 - (1 - p) ** k))
            # The metric's exact mean and variance over pools of this size.
            weight = binom.pmf(np.arange(n_samples + 1), n_samples, p)
            mean = weight @ by_count
            assert mean == pytest.approx(1 - (1 - p) ** k)
            variances.append(weight @ (by_count - mean) ** 2)
            if k == 1:  # at larger k a single problem's distribution is too skew to speak of standard errors
                assert abs(differences[-1]) < 4 * np.sqrt(variances[-1])
        assert abs(np.mean(differences)) < 4 * np.sqrt(np.sum(variances)) / len(chances)


# --- shards ----------------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands for the signal that ends a job."""


@pytest.fixture
def sampled(monkeypatch):
    """The number of prompts of each call of sample_pools; a call of a number in ``fatal`` dies halfway."""
    calls, fatal = [], set()
    inner = sampling.sample_pools

    def counted(model, tokenizer, prompts, draws, settings):
        calls.append(len(prompts))
        for done, pool in enumerate(inner(model, tokenizer, prompts, draws, settings)):
            if len(calls) in fatal and done == 1:
                raise Killed
            yield pool

    monkeypatch.setattr(sampling, "sample_pools", counted)
    return calls, fatal


def test_a_killed_sampling_run_keeps_its_finished_shards_and_ends_with_the_same_pools(
    model, tokenizer, prompts, tmp_path, sampled
):
    calls, fatal = sampled

    def run(folder):
        sampler = transformers_sampler(model, tokenizer, 1, settings_with())
        return sample_in_shards(sampler, list(prompts), list(prompts.values()), tmp_path / folder, 4, 8)

    whole = list(run("whole"))
    assert [problem_id for problem_id, _ in whole] == list(prompts)
    assert calls == [4, 4, 2]
    calls.clear()
    fatal.add(2)
    with pytest.raises(Killed):
        list(run("killed"))
    assert [file.name for file in (tmp_path / "killed").iterdir()] == ["shard-00000.json"]
    calls.clear()
    fatal.clear()
    # As if killed while the shard was written.
    (tmp_path / "killed" / ".partial-shard-00001.json").write_text("[half")
    assert list(run("killed")) == whole
    assert calls == [4, 2]
    calls.clear()
    assert list(run("killed")) == whole
    assert calls == []
    assert_same_pools(dict(whole), pools_of(model, tokenizer, prompts, settings_with()))


def test_a_shard_holds_the_pools_by_problem(model, tokenizer, prompts, tmp_path):
    sampler = transformers_sampler(model, tokenizer, 1, settings_with())
    list(sample_in_shards(sampler, ["a"], [next(iter(prompts.values()))], tmp_path, 4, 8))
    pools = json.loads((tmp_path / "shard-00000.json").read_text())["pools"]
    assert list(pools) == ["a"] and len(pools["a"]) == 8
