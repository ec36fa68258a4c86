"""Protein tasks: rewards against a slow exact version, data by their definition, corpus and model by statistics."""

import math
import time
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import REPO
from hypothesis import given, settings
from hypothesis import strategies as st
from make_base_model import write_base_model
from make_problems import make_problems
from safetensors.torch import load_file
from stand_ins import make_protgpt2

from compute_aligned.metrics import best_of_curve
from compute_aligned.models.loading import load_model, load_tokenizer
from compute_aligned.models.making import make_base_model, plain_character_tokenizer
from compute_aligned.models.pretraining import encode_text
from compute_aligned.models.sources import Folder, ProteinScratch
from compute_aligned.models.tokenization import IGNORED, encode_example, encode_prompt
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.sampling.transformers_backend import SamplingSettings, sample_pools, uniforms
from compute_aligned.tasks import Problem, protein_corpus, refuse_overlap
from compute_aligned.tasks import protein as p
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.protein_corpus import (
    COMPOSITION,
    HELIX_COMPOSITION,
    HELIX_LENGTH,
    MEAN_FRACTION,
    generate_corpus,
)
from compute_aligned.tasks.sources import ProteinUnconditional, read_task

# Standard deviations of the hydrophobic fraction between proteins, as the corpus' docstring has them.
NATURAL_SD, PAPERS_SD = 0.045, 0.17
SIZES = {"train": 300, "rl": 200, "validation": 50, "test": 100}
SOURCE = ProteinScratch(
    kind="protein_scratch",
    seed=1,
    architecture={
        "model_type": "gpt2",
        "n_layer": 2,
        "n_head": 2,
        "n_embd": 64,
        "n_positions": 128,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        # About 1 / sqrt(width). With GPT-2's 0.02 so small a model learns in this time the composition alone.
        "initializer_range": 0.1,
    },
    corpus_size=12800,
    sd_fraction=NATURAL_SD,
    steps=400,
    batch_size=32,
    learning_rate=3e-3,
)
UNCONDITIONAL = {"temperature": 1.2, "top_p": 1.0, "top_k": 50}


def sequence_with(n_hydrophobic, length):
    return "L" * n_hydrophobic + "K" * (length - n_hydrophobic)


# --- rewards ---------------------------------------------------------------------------------------------------------


def slow_fraction(sequence):
    return Fraction(sum(letter in {"A", "I", "L", "M", "F", "W", "Y", "V"} for letter in sequence), len(sequence))


def slow_sequence(text, shortest):
    sequence = "".join(letter for letter in text if not letter.isspace()).upper()
    return sequence if len(sequence) >= shortest and all(c in "ACDEFGHIKLMNPQRSTVWY" for c in sequence) else None


def slow_unconditional(text):
    sequence = slow_sequence(text, 10)
    if sequence is None:
        return -5
    h = slow_fraction(sequence)
    reward = 4 * math.exp(-((h - Fraction("0.35")) ** 2) / 0.05) + 12 * math.exp(-((h - Fraction("0.75")) ** 2) / 0.015)
    return reward - 2 if Fraction("0.45") < h < Fraction("0.6") else reward


def slow_conditional(text, given):
    sequence = slow_sequence(text, 5)
    if sequence is None:
        return -5
    h, h_in = slow_fraction(sequence), slow_fraction(given)
    reward = 10 * math.exp(-((h - (1 - h_in)) ** 2) / 0.05)
    return reward - 2 if abs(h - h_in) < Fraction(1, 10) and abs(h_in - Fraction(1, 2)) > Fraction(1, 10) else reward


def test_the_unconditional_reward_is_its_formula_for_every_length_and_count():
    for length in [*range(5, 66), 400]:
        for n in range(length + 1):
            text = sequence_with(n, length)
            assert p.unconditional_reward(text) == pytest.approx(slow_unconditional(text), abs=1e-12), (n, length)


def test_a_jackpot_is_a_valid_sequence_in_the_zone_ends_included_for_every_length_and_count():
    for length in range(5, 66):
        for n in range(length + 1):
            text = sequence_with(n, length)
            inside = length >= 10 and Fraction("0.65") <= slow_fraction(text) <= Fraction("0.85")
            assert p.hits_jackpot(text) == inside, (n, length)
    assert not any(map(p.hits_jackpot, ("", " \n", "L" * 15 + "KKKKX", "ééé", "L" * 9)))


def test_the_claim_about_jackpots_has_the_zone_of_the_task():
    claims = yaml.safe_load((REPO / "config/claims.yaml").read_text())["claims"]
    assert {tuple(part["between"]) for part in claims["C20"]["parts"]} == {p.JACKPOT_ZONE}
    low, high = p.JACKPOT_ZONE
    assert low < p.JACKPOT < high


def test_the_conditional_reward_is_its_formula_for_every_length_and_count_of_both_sequences():
    # Among them are outputs exactly 0.1 from the input and inputs exactly 0.1 from one half, where floats go astray.
    inputs = [sequence_with(n, length) for length in range(10, 20) for n in range(length + 1)]
    for length in (4, 5, 10, 19, 20, 30):
        for n in range(length + 1):
            text = sequence_with(n, length)
            for given_sequence in inputs:
                expected = slow_conditional(text, given_sequence)
                assert p.conditional_reward(text, given_sequence) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "length", "reward"),
    [
        (7, 20, 4 + 12 * math.exp(-0.16 / 0.015)),  # in the trap
        (15, 20, 12 + 4 * math.exp(-3.2)),  # the jackpot
        (10, 20, 4 * math.exp(-0.45) + 12 * math.exp(-0.0625 / 0.015) - 2),  # in the valley: 0.737
        (9, 20, 4 * math.exp(-0.2) + 12 * math.exp(-6)),  # on its edges no fine
        (12, 20, 4 * math.exp(-1.25) + 12 * math.exp(-1.5)),
        (0, 20, 4 * math.exp(-2.45) + 12 * math.exp(-37.5)),
        (20, 20, 4 * math.exp(-8.45) + 12 * math.exp(-0.0625 / 0.015)),
    ],
)
def test_unconditional_rewards_worked_by_hand(n, length, reward):
    assert p.unconditional_reward(sequence_with(n, length)) == pytest.approx(reward, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "given_sequence", "reward"),
    [
        ("LLLLL", "KKKKKKKKKK", 10),  # a mirror image
        ("KKKKK", "KKKKKKKKKK", 10 * math.exp(-20) - 2),  # a copy
        ("LLLLLKKKKK", "LLLLLKKKKK", 10),  # one half: a copy is a mirror image
        ("LLLLKKKKKK", "LLLLKKKKKK", 10 * math.exp(-0.8)),  # 0.1 from one half: not fined yet
        ("LLLKKKKKKK", "LLLKKKKKKK", 10 * math.exp(-3.2) - 2),
        ("LLLLKKKKKK", "LLLKKKKKKK", 10 * math.exp(-1.8)),  # 0.1 from the input: not fined any more
    ],
)
def test_conditional_rewards_worked_by_hand(text, given_sequence, reward):
    assert p.conditional_reward(text, given_sequence) == pytest.approx(reward, abs=1e-12)


def test_the_unconditional_reward_has_a_trap_a_valley_and_a_jackpot():
    grid = np.linspace(0, 1, 100_001)
    reward = p.unconditional_reward_at(grid)
    assert reward.max() == pytest.approx(12.165, abs=5e-4)
    assert 0.74 < grid[reward.argmax()] < 0.75
    peaks = grid[1:-1][(reward[1:-1] > reward[:-2]) & (reward[1:-1] > reward[2:])]
    low, high = p.VALLEY
    assert np.abs(peaks - p.TRAP).min() < 0.001 and np.abs(peaks - p.JACKPOT).min() < 0.002
    inside = (grid > low) & (grid < high)
    between = (grid > p.TRAP) & (grid < p.JACKPOT)
    assert inside[between][reward[between].argmin()]
    assert reward[grid == p.TRAP] == pytest.approx(4.0, abs=0.001)


def test_the_conditional_reward_is_highest_where_fractions_add_up_to_1():
    grid = np.linspace(0, 1, 1001)
    for h_in in np.linspace(0, 1, 21):
        reward = p.conditional_reward_at(grid, h_in)
        assert reward.max() == pytest.approx(10) and grid[reward.argmax()] == pytest.approx(1 - h_in)


@pytest.mark.parametrize(
    "text", ["", " \n", "LLLLLKKKK", "LLLLLKKKKKX", "LLLLLKKKKKB", "LLLLLKKKKK.", "LLLLL:KKKKK", "ÄLLLLLKKKKK"]
)
def test_a_short_sequence_and_a_foreign_letter_cost_5(text):
    assert p.unconditional_reward(text) == -5
    if len(p.clean(text)) != 9:  # long enough for the conditional task
        assert p.conditional_reward(text, "LLLLLKKKKK") == -5
    assert p.conditional_reward("LKLK", "LLLLLKKKKK") == -5


def test_white_space_and_case_do_not_count():
    plain = p.unconditional_reward("LLLLLLLKKKKKKKKKKKKK")
    assert p.unconditional_reward(" lLLLLLL\nKKKKK\tKKKKK\u2003kkk\r\n") == plain
    assert p.clean(" a c\nd ") == "ACD"


def test_the_hydrophobic_fraction_counts_eight_residues():
    assert p.hydrophobic_fraction(p.RESIDUES) == 8 / 20
    assert {r for r in p.RESIDUES if p.hydrophobic_fraction(r) == 1} == set("AILMFWYV") == set(p.HYDROPHOBIC)
    assert math.isnan(p.hydrophobic_fraction(""))


any_text = st.one_of(
    st.text(st.characters()),  # with control characters and lone surrogates
    st.text(st.sampled_from(p.RESIDUES + " \n")),
    st.text(st.sampled_from(p.RESIDUES + "x\x00ß"), min_size=5),
)


@settings(max_examples=300, deadline=None)
@given(any_text, st.text(st.sampled_from(p.RESIDUES), min_size=1))
def test_rewards_are_defined_for_every_text(text, given_sequence):
    assert p.unconditional_reward(text) == pytest.approx(slow_unconditional(text), abs=1e-12)
    assert p.conditional_reward(text, given_sequence) == pytest.approx(
        slow_conditional(text, given_sequence), abs=1e-12
    )
    assert -5 <= p.unconditional_reward(text) <= 12.166
    assert -5 <= p.conditional_reward(text, given_sequence) <= 10


@pytest.mark.parametrize(
    "text", ["L" * 10_000, "LK" * 5_000, "\x00" * 10_000, "\n" * 10_000, "é" * 10_000, "x" * 10_000]
)
def test_long_texts_are_rewarded_in_no_time(text):
    start = time.perf_counter()
    assert p.unconditional_reward(text) == pytest.approx(slow_unconditional(text), abs=1e-12)
    p.conditional_reward(text, "LLLLLKKKKK")
    assert time.perf_counter() - start < 1


def test_every_sample_is_scored_in_its_place(tmp_path):
    conditional = p.generate_splits(1, {"test": 2})["test"]
    problems = [*conditional, p.unconditional_problem()]
    rows = [
        (conditional[1].problem_id, 0, conditional[1].target),
        (conditional[1].problem_id, 1, " ACD"),
        ("protein/unconditional", 0, "LLLLLLLLLLLLLLLKKKKK"),
        ("protein/unconditional", 1, " lllllll"),
    ]
    samples = pd.DataFrame(rows, columns=["problem_id", "sample", "completion"])
    write_artifact(p.score_samples(samples, problems), "protein_scores", tmp_path / "scores.parquet")
    scores = read_artifact("protein_scores", tmp_path / "scores.parquet")
    assert list(zip(scores["problem_id"], scores["sample"], strict=True)) == [row[:2] for row in rows]
    given_sequence = p.input_sequence(conditional[1].prompt)
    assert scores["reward"][0] == p.conditional_reward(conditional[1].target, given_sequence)
    assert scores["reward"][0] > 9.5  # a target has nearly the best fraction
    assert list(scores["reward"][1:]) == [-5, p.unconditional_reward(rows[2][2]), -5]
    assert list(scores["hydrophobic_fraction"].isna()) == list(scores["sequence"].isna()) == [False, True, False, True]
    assert scores["hydrophobic_fraction"][2] == 0.75
    assert list(scores["input_fraction"].isna()) == [False, False, True, True]
    assert scores["input_fraction"][0] == p.hydrophobic_fraction(given_sequence)
    with pytest.raises(ValueError, match="samples of problem 'protein/unconditional' were found"):
        p.score_samples(samples, conditional)


# --- problems --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conditional():
    return p.generate_splits(1, SIZES)


def test_splits_have_their_sizes_and_share_no_prompt(conditional):
    assert {name: len(problems) for name, problems in conditional.items()} == SIZES
    everything = [problem for problems in conditional.values() for problem in problems]
    assert len({problem.prompt for problem in everything}) == len(everything)
    assert len({problem.problem_id for problem in everything}) == len(everything)
    refuse_overlap(conditional)


def test_a_seed_gives_the_same_problems_again_and_another_seed_others(conditional):
    assert p.generate_splits(1, SIZES) == conditional
    other = p.generate_splits(2, SIZES)
    assert not {problem.prompt for problem in other["train"]} & {problem.prompt for problem in conditional["train"]}


def test_inputs_have_10_to_19_residues_uniform_over_the_20(conditional):
    inputs = [p.input_sequence(problem.prompt) for problems in conditional.values() for problem in problems]
    lengths = Counter(map(len, inputs))
    assert sorted(lengths) == list(range(10, 20))
    for counts, n_classes, critical in ((lengths, 10, 27.9), (Counter("".join(inputs)), 20, 43.8)):  # p = 0.001
        expected = sum(counts.values()) / n_classes
        assert len(counts) == n_classes
        assert sum((n - expected) ** 2 / expected for n in counts.values()) < critical


def test_a_target_is_a_blank_and_a_shuffled_sequence_with_the_mirrored_number_of_hydrophobic_residues(conditional):
    ascending = 0
    for problem in (problem for problems in conditional.values() for problem in problems):
        h_in = p.hydrophobic_fraction(p.input_sequence(problem.prompt))
        sequence = problem.target[1:]
        assert problem.target[0] == " " and 10 <= len(sequence) <= 19 and set(sequence) <= set(p.RESIDUES)
        kinds = [letter in p.HYDROPHOBIC for letter in sequence]
        assert sum(kinds) == round((1 - h_in) * len(sequence))
        assert float(problem.answer) == pytest.approx(1 - h_in, abs=1e-4)
        ascending += kinds in (sorted(kinds), sorted(kinds, reverse=True))
    assert ascending < 0.05 * sum(SIZES.values())


def test_targets_are_rewarded_far_above_copies_of_their_inputs(conditional):
    problems = conditional["test"]
    targets = np.mean([p.reward(problem, problem.target) for problem in problems])
    copies = np.mean([p.reward(problem, p.input_sequence(problem.prompt)) for problem in problems])
    assert targets > 9.8 and copies < 7


@pytest.mark.parametrize(
    "text", ["", "Input: ACD", "Input:  \n Output:", "Input: ACX \n Output:", "Input: ACD \n Output: "]
)
def test_what_is_no_prompt_is_named(text):
    with pytest.raises(ValueError, match="is no conditional protein prompt, wanted 'Input: ") as error:
        p.input_sequence(text)
    assert repr(text) in str(error.value) and "\n" not in str(error.value)


def test_both_tasks_are_written_as_problems(tmp_path):
    data = {"loader": "protein_conditional", "seed": 1, "sizes": {"train": 12, "validation": 9, "test": 5}}
    paths = {split: str(tmp_path / f"{split}.parquet") for split in data["sizes"]}
    assert make_problems(read_task(data), paths)["n_problems"] == data["sizes"]
    for split, path in paths.items():
        rows = [Problem(**row) for row in read_artifact("problems", path).to_dict("records")]
        assert rows == load_task(read_task(data))[0][split]
    make_problems(
        ProteinUnconditional(loader="protein_unconditional"), {"test": str(tmp_path / "unconditional.parquet")}
    )
    (row,) = read_artifact("problems", tmp_path / "unconditional.parquet").to_dict("records")
    assert Problem(**row) == p.unconditional_problem()


# --- prompts as tokens -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    plain_character_tokenizer(p.ALPHABET).save_pretrained(folder)
    return load_tokenizer(folder)


def test_the_unconditional_prompt_is_one_bos_token(tokenizer):
    assert encode_prompt(tokenizer, p.unconditional_problem().prompt) == [tokenizer.bos_token_id]


def test_a_conditional_prompt_is_its_text_and_a_target_ends_with_the_end_token(tokenizer, conditional):
    for problem in conditional["test"]:
        ids = encode_prompt(tokenizer, problem.prompt)
        assert len(ids) == len(problem.prompt) and tokenizer.decode(ids) == problem.prompt
        example = encode_example(tokenizer, problem.problem_id, problem.prompt, problem.target, 128)
        assert example["input_ids"][: len(ids)] == ids
        supervised = [label for label in example["labels"] if label != IGNORED]
        assert example["labels"] == [IGNORED] * len(ids) + supervised
        assert tokenizer.decode(supervised) == problem.target + tokenizer.eos_token
        # Prompt, completion and end fit the paper's 32 new tokens and the small model's context.
        assert len(supervised) <= 32 and len(ids) + 32 <= SOURCE.architecture.n_positions


def test_a_model_from_elsewhere_gets_plain_prompts_if_asked(tmp_path):
    make_protgpt2(tmp_path / "elsewhere")
    source = Folder(kind="folder", path=str(tmp_path / "elsewhere"))
    with pytest.raises(ValueError, match="has no chat template; .* plain_prompts: true"):
        write_base_model(source, str(tmp_path / "chat"))
    write_base_model(source | {"plain_prompts": True}, str(tmp_path / "plain"))
    tokenizer = load_tokenizer(tmp_path / "plain")
    assert encode_prompt(tokenizer, "MKV") == tokenizer("MKV", add_special_tokens=False)["input_ids"]
    assert encode_prompt(tokenizer, "") == [tokenizer.bos_token_id]


# --- corpus ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus():
    return generate_corpus(1, 6000, NATURAL_SD)


def hydrophobic_letters(sequence):
    return np.isin(np.array(list(sequence)), list(p.HYDROPHOBIC))


def test_the_compositions_are_percentages_of_the_20_residues():
    for composition in (COMPOSITION, HELIX_COMPOSITION):
        assert sorted(composition) == sorted(p.RESIDUES)
        assert sum(composition.values()) == pytest.approx(100, abs=0.3)
    share = {name: sum(c[r] for r in p.HYDROPHOBIC) for name, c in (("all", COMPOSITION), ("helix", HELIX_COMPOSITION))}
    assert share["all"] == pytest.approx(40.96) and share["helix"] == pytest.approx(64.46)


def test_the_corpus_has_the_composition_of_swiss_prot(corpus):
    counts = Counter("".join(corpus))
    total = sum(counts.values())
    assert set(counts) == set(p.RESIDUES)
    for residue, percent in COMPOSITION.items():
        assert 100 * counts[residue] / total == pytest.approx(percent, abs=0.25), residue
    assert sum(counts[r] for r in p.HYDROPHOBIC) / total == pytest.approx(0.410, abs=0.004)


def fractions_in_windows(corpus):
    return np.concatenate(
        [hydrophobic_letters(s)[: len(s) // 64 * 64].reshape(-1, 64).mean(axis=1) for s in corpus if len(s) >= 64]
    )


def test_windows_of_64_residues_vary_as_in_natural_proteins(corpus):
    windows = fractions_in_windows(corpus)
    # Stated in the module's docstring, beside 0.398, 0.083 and 0.32 % of natural sequences.
    assert windows.mean() == pytest.approx(0.408, abs=0.004)
    assert windows.std() == pytest.approx(0.081, abs=0.003)
    assert (windows > 0.65).mean() == pytest.approx(0.0032, abs=0.0012)
    # Independent draws would vary less and hardly ever reach 0.65.
    independent = np.random.default_rng(0).binomial(64, 0.4096, size=len(windows)) / 64
    assert independent.std() == pytest.approx(0.0615, abs=0.001) and (independent > 0.65).mean() < 3e-4


def test_with_the_papers_spread_proteins_vary_more_and_have_the_same_composition():
    corpus = generate_corpus(1, 6000, PAPERS_SD)
    windows = fractions_in_windows(corpus)
    # Stated in the module's docstring.
    assert windows.mean() == pytest.approx(0.410, abs=0.008)
    assert windows.std() == pytest.approx(0.179, abs=0.004)
    assert (windows > 0.65).mean() == pytest.approx(0.102, abs=0.008)
    counts = Counter("".join(corpus))
    assert sum(counts[r] for r in p.HYDROPHOBIC) / sum(counts.values()) == pytest.approx(0.410, abs=0.008)


@pytest.mark.parametrize("sd", [NATURAL_SD, PAPERS_SD])
def test_outside_helices_the_hydrophobic_fraction_varies_between_proteins_by_the_setting(monkeypatch, sd):
    monkeypatch.setattr(protein_corpus, "MEMBRANE_SHARE", 0)
    windows = fractions_in_windows(generate_corpus(3, 2000, sd))
    mean = windows.mean()
    # The variance of a window is the mean of h (1 - h) / 64, of independent residues, and that of h between proteins.
    beyond_draws = (64 * windows.var() - mean * (1 - mean)) / 63
    assert mean == pytest.approx(MEAN_FRACTION, abs=0.015)
    assert math.sqrt(beyond_draws) == pytest.approx(sd, rel=0.06)  # two standard errors


def test_one_protein_in_four_has_helices_and_the_others_have_no_long_hydrophobic_stretch(corpus):
    densest = [np.convolve(hydrophobic_letters(s), np.ones(HELIX_LENGTH), "valid").max() for s in corpus]
    # A helix of 21 has 13.5 hydrophobic residues on average, any 21 others 8.4.
    assert 0.12 < np.mean(np.array(densest) >= 17) < 0.25


def test_the_corpus_is_the_same_for_the_same_seed_and_a_smaller_one_begins_it(corpus):
    assert generate_corpus(1, 50, NATURAL_SD) == corpus[:50]
    assert generate_corpus(2, 50, NATURAL_SD) != corpus[:50]
    assert min(map(len, corpus)) >= 30


# --- pre-training ----------------------------------------------------------------------------------------------------


def test_a_row_begins_with_bos_and_only_a_text_that_ends_within_it_teaches_the_end(tokenizer):
    end = tokenizer.eos_token_id
    short = encode_text(tokenizer, "ACD", 8)
    assert short["input_ids"][:5] == [tokenizer.bos_token_id, *tokenizer.encode("ACD"), end]
    assert short["labels"] == [*short["input_ids"][:5], IGNORED, IGNORED, IGNORED]
    assert short["attention_mask"] == [1] * 5 + [0] * 3
    for text in ("ACDEFGH", "ACDEFGHIK"):
        row = encode_text(tokenizer, text, 8)
        assert tokenizer.decode(row["input_ids"]) == tokenizer.bos_token + "ACDEFGH"
        assert row["labels"] == row["input_ids"] and row["attention_mask"] == [1] * 8
    assert len(encode_text(tokenizer, "ACDEFG", 8)["input_ids"]) == 8
    assert encode_text(tokenizer, "ACDEFG", 8)["labels"][-1] == end


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Folder of a protein model after a few steps."""
    folder = tmp_path_factory.mktemp("protein") / "base"
    write_base_model(SOURCE | {"corpus_size": 320, "steps": 20, "batch_size": 16}, str(folder))
    return folder


def test_pre_training_is_the_same_for_the_same_seed(small, tmp_path):
    source = SOURCE | {"corpus_size": 320, "steps": 20, "batch_size": 16}
    make_base_model(source, tmp_path / "again")
    make_base_model(source | {"seed": 2}, tmp_path / "other")
    one, again, other = (load_file(f / "model.safetensors") for f in (small, tmp_path / "again", tmp_path / "other"))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def loss_of(model, tokenizer, texts):
    rows = [encode_text(tokenizer, text, 128) for text in texts]
    batch = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    with torch.no_grad():
        return float(model(**batch).loss)


def test_a_few_steps_already_learn_the_alphabet(small, corpus):
    tokenizer, model = load_tokenizer(small), load_model(small, small, "fp32", None, trainable=False).eval()
    assert loss_of(model, tokenizer, corpus[1000:1050]) < math.log(len(tokenizer)) - 0.3


# --- sampling --------------------------------------------------------------------------------------------------------


def pools_of(folder, prompts, n_samples, max_new_tokens, rows_per_batch, **changes):
    """problem_id -> completions."""
    tokenizer, model = load_tokenizer(folder), load_model(folder, folder, "fp32", None, trainable=False).eval()
    settings = SamplingSettings(
        n_samples=n_samples, max_new_tokens=max_new_tokens, rows_per_batch=rows_per_batch, **(UNCONDITIONAL | changes)
    )
    ids = [encode_prompt(tokenizer, prompt) for prompt in prompts.values()]
    draws = [uniforms(1, problem_id, n_samples, max_new_tokens) for problem_id in prompts]
    return {list(prompts)[i]: pool for i, pool in sample_pools(model, tokenizer, ids, draws, settings)}


def assert_own_log_probabilities(folder, prompts, pools):
    tokenizer, model = load_tokenizer(folder), load_model(folder, folder, "fp32", None, trainable=False).eval()
    for problem_id, pool in pools.items():
        prompt = encode_prompt(tokenizer, prompts[problem_id])
        for completion in pool:
            said = completion.tokens + [tokenizer.eos_token_id] * (completion.finish_reason == "stop")
            with torch.no_grad():
                log_p = model(input_ids=torch.tensor([prompt + said])).logits[0].double().log_softmax(dim=-1)
            own = [float(log_p[len(prompt) - 1 + i, token]) for i, token in enumerate(said)]
            assert completion.mean_logprob == pytest.approx(np.mean(own), abs=1e-4)


def test_a_pool_of_512_from_one_bos_token_does_not_depend_on_the_batch(small):
    prompts = {"protein/unconditional": ""}
    (whole,) = pools_of(small, prompts, 512, 24, rows_per_batch=512).values()
    (parts,) = pools_of(small, prompts, 512, 24, rows_per_batch=200).values()
    assert len(whole) == 512
    assert [completion.tokens for completion in whole] == [completion.tokens for completion in parts]
    assert {completion.finish_reason for completion in whole} == {"stop", "length"}
    assert_own_log_probabilities(small, prompts, {"protein/unconditional": whole[:20]})


def test_gpt2_positions_count_from_the_prompts_first_token_whatever_the_padding(small, conditional):
    prompts = {problem.problem_id: problem.prompt for problem in conditional["test"][:6]}
    assert len(set(map(len, prompts.values()))) > 1  # so that padding takes part
    pools = pools_of(small, prompts, 8, 32, rows_per_batch=1000, temperature=1.3, top_k=0)
    assert_own_log_probabilities(small, prompts, pools)
    for problem_id, prompt in list(prompts.items())[:2]:
        alone = pools_of(small, {problem_id: prompt}, 8, 32, rows_per_batch=1000, temperature=1.3, top_k=0)
        assert [c.tokens for c in alone[problem_id]] == [c.tokens for c in pools[problem_id]]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The model that the presets pre-train on the corpus with the paper's spread: its folder, and its facts."""
    folder = tmp_path_factory.mktemp("shipped") / "base"
    return folder, make_base_model(SOURCE | {"sd_fraction": PAPERS_SD}, folder)


@pytest.fixture(scope="module")
def sampled(shipped):
    """Temperature -> the valid sequences among 2,048 samples of it."""
    folder, _ = shipped
    tokenizer, sequences = load_tokenizer(folder), {}
    for temperature in (1.0, 1.2):
        (pool,) = pools_of(folder, {"x": ""}, 2048, 64, rows_per_batch=2048, temperature=temperature).values()
        texts = tokenizer.batch_decode([completion.tokens for completion in pool], skip_special_tokens=True)
        sequences[temperature] = [
            p.clean(text) for text in texts if p.is_valid(p.clean(text), p.SHORTEST_UNCONDITIONAL)
        ]
    return sequences


@pytest.mark.slow
def test_the_pre_trained_model_samples_valid_sequences_that_vary_as_its_corpus_does(sampled):
    assert len(sampled[1.0]) / 2048 > 0.98 and len(sampled[1.2]) / 2048 > 0.94
    fractions = {
        temperature: np.array([p.hydrophobic_fraction(s) for s in sequences if len(s) == 64])
        for temperature, sequences in sampled.items()
    }
    texts = generate_corpus(2, 3000, PAPERS_SD)
    starts = np.array([hydrophobic_letters(text[:64]).mean() for text in texts if len(text) >= 64])
    assert fractions[1.0].mean() == pytest.approx(starts.mean(), abs=0.015)
    assert fractions[1.0].std() == pytest.approx(starts.std(), abs=0.01)
    # A higher temperature blurs what the model has learned about the protein it writes.
    assert 0.0615 < fractions[1.2].std() < fractions[1.0].std() + 0.005


@pytest.mark.slow
def test_with_the_papers_spread_the_models_samples_vary_as_the_papers_baseline(shipped, sampled):
    _, facts = shipped
    losses = [row["loss"] for row in facts["pretraining_loss"]]
    assert len(losses) == 10 and losses[-1] < losses[0]
    h = np.array([p.hydrophobic_fraction(s) for s in sampled[1.2]])
    # The authors' saved samples of GRPO: 0.393, 0.150, 6.1 % and 24 %.
    assert h.mean() == pytest.approx(0.393, abs=0.02) and h.std() == pytest.approx(0.150, abs=0.01)
    assert ((h > 0.65) & (h < 0.85)).mean() == pytest.approx(0.061, abs=0.02)
    assert ((h > 0.45) & (h < 0.60)).mean() == pytest.approx(0.24, abs=0.06)


# --- best of k -------------------------------------------------------------------------------------------------------


def expected_maximum(rewards, k):
    """Mean over all k-subsets, in exact fractions: the i-th smallest leads C(i-1, k-1) of them."""
    ordered = sorted(map(Fraction, rewards))
    return sum(r * math.comb(i, k - 1) for i, r in enumerate(ordered)) / math.comb(len(ordered), k)


@pytest.mark.parametrize(("m", "ks"), [(512, [1, 2, 4, 8, 16, 32, 64]), (32, [1, 2, 4, 8, 16, 32])])
def test_best_of_k_of_the_papers_pools_is_exact_and_fast(m, ks):
    rng = np.random.default_rng(m)
    lengths = rng.integers(6, 22, size=m)
    rewards = [p.unconditional_reward(sequence_with(rng.binomial(n, 0.45), n)) for n in lengths]
    assert len(set(rewards)) < m and -5 in rewards  # ties and invalid sequences take part
    expected = [float(expected_maximum(rewards, k)) for k in ks]
    start = time.perf_counter()
    for _ in range(150):  # as many pools as the conditional task has prompts
        curve = best_of_curve(rewards, ks)
    assert time.perf_counter() - start < 1
    np.testing.assert_allclose(curve, expected, rtol=1e-12)
    # The released code draws with replacement, which is lower: the same sample may come twice.
    ordered = np.sort(rewards)
    for k, value in zip(ks, curve, strict=True):
        weights = np.diff((np.arange(m + 1) / m) ** k)
        assert weights @ ordered <= value + 1e-12
