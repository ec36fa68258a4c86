"""The script of reinforcement learning: which prompts it takes, what it leaves behind, and protein runs."""

import dataclasses

import pandas as pd
import pytest
import torch
from conftest import ADAPTER, RL, TRAINING
from safetensors.torch import load_file

from compute_aligned.models.making import make_base_model
from compute_aligned.models.sources import ProteinScratch
from compute_aligned.models.tokenization import encode_prompt
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.tasks import Problem, select
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.sources import read_task
from compute_aligned.training import grpo_run as script
from compute_aligned.training.run_files import RunFiles

PROTEIN_SOURCE = ProteinScratch(
    kind="protein_scratch",
    seed=1,
    architecture={"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64},
    corpus_size=16,
    sd_fraction=0.045,
    steps=2,
    batch_size=8,
    learning_rate=1e-3,
)


@pytest.fixture
def run(base, trained, problems, tmp_path):
    def run(name="run", path_to_base=base, path_to_start=trained, path_to_problems=problems, **changes):
        facts = script.train_grpo(
            RunFiles(
                base=str(path_to_base),
                start=str(path_to_start),
                problems=str(path_to_problems),
                checkpoints=str(tmp_path / "checkpoints"),
                model=str(tmp_path / name),
                record=str(tmp_path / f"{name}.parquet"),
                run=f"recipe/{name}/seed1",
                code="c0de",
            ),
            settings=RL | changes,
            threads=1,
        )
        return facts, tmp_path / name, read_artifact("rl_training", tmp_path / f"{name}.parquet")

    return run


# --- prompts ---------------------------------------------------------------------------------------------------------


def test_fresh_problems_are_those_after_the_warm_ups_in_the_same_order(problems, tokenizer, splits):
    fresh, n_too_long = script.training_prompts(str(problems), tokenizer, RL)
    order = select(splits["train"], [1, 2, 3, 4, 5], None, 5)
    assert fresh == order[8:20] and n_too_long == 0
    repeated, _ = script.training_prompts(str(problems), tokenizer, RL | {"skipped_problems": 0})
    assert repeated == order[:12]


def test_prompts_that_are_too_long_are_left_out_and_counted(problems, tokenizer):
    every, _ = script.training_prompts(str(problems), tokenizer, RL)
    lengths = [len(encode_prompt(tokenizer, problem.prompt)) for problem in every]
    longest = sorted(lengths)[5]
    kept, n_too_long = script.training_prompts(str(problems), tokenizer, RL | {"longest_prompt": longest})
    assert [len(encode_prompt(tokenizer, problem.prompt)) for problem in kept] == [n for n in lengths if n <= longest]
    assert len(kept) + n_too_long == 12 and n_too_long > 0
    with pytest.raises(ValueError, match="all 12 prompts are longer than longest_prompt, 1 tokens"):
        script.training_prompts(str(problems), tokenizer, RL | {"longest_prompt": 1})


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["grpo", "pass_n4_log", "majority_n4_raw"])
def test_a_run_leaves_a_model_and_a_record_of_its_steps(run, trained, objective):
    facts, model, record = run(objective=objective)
    assert (facts["n_prompts"], facts["n_prompts_too_long"], facts["n_steps"]) == (12, 0, 3)
    assert record["step"].tolist() == [1, 2, 3]
    assert record["reward"].between(0, 1).all()
    assert record["kl"].isna().all()  # no KL term
    before, after = load_file(trained / "model.safetensors"), load_file(model / "model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not (model / "training_args.bin").exists()


def test_an_adapter_is_saved_without_the_copy_that_the_kl_term_refers_to(run, base, tmp_path, problems):
    from compute_aligned.models.loading import load_model
    from compute_aligned.training.sft_run import train_sft

    train_sft(
        RunFiles(
            base=str(base),
            start=str(base),
            problems=str(problems),
            checkpoints=str(tmp_path / "checkpoints"),
            model=str(tmp_path / "warmup"),
            record=str(tmp_path / "warmup.parquet"),
            run="recipe/warmup/seed1",
            code="c0de",
        ),
        settings=TRAINING
        | {"seed": RL.seed, "adapter": ADAPTER, "train_problems": 8, "learning_rate": 1e-3}
        | {"checkpoint_steps": 5, "weight_decay": 0.0, "max_grad_norm": 1.0, "max_length": 64, "longest_prompt": 32},
        threads=1,
    )
    _, model, record = run(path_to_start=tmp_path / "warmup", beta=0.1)
    assert record["kl"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert not (model / "ref").exists()
    load_model(base, model, "fp32", None, trainable=False)


@pytest.fixture(scope="module")
def protein_base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proteins") / "base"
    make_base_model(PROTEIN_SOURCE, folder)
    return folder


@pytest.mark.parametrize(
    ("loader", "objective", "window", "n_prompts"),
    [("protein_unconditional", "best_of_n4", 20, 1), ("protein_conditional", "best_of_n2", None, 12)],
)
def test_a_protein_run_is_rewarded_by_its_own_task(run, protein_base, tmp_path, loader, objective, window, n_prompts):
    drawn = {"seed": 1, "sizes": {"train": 30, "validation": 2, "test": 2}}
    task = read_task({"loader": loader} | (drawn if loader == "protein_conditional" else {}))
    train = load_task(task)[0]["train"]
    write_artifact(pd.DataFrame([dataclasses.asdict(problem) for problem in train]), "problems", tmp_path / "p.parquet")
    facts, _, record = run(
        path_to_base=protein_base,
        path_to_start=protein_base,
        path_to_problems=tmp_path / "p.parquet",
        objective=objective,
        levels=[1],
        skipped_problems=0,
        problems=n_prompts,
        reward="hydrophobicity",
        reward_window=window,
        all_wrong_penalty=0,
        advantage_clip=5,
        weight_clip=None,
        max_new_tokens=20,
    )
    assert facts["n_prompts"] == n_prompts
    assert len(record) == 3 and record["reward"].between(-5, 12.17).all()
    if loader == "protein_unconditional":
        assert record["jackpot_share"].between(0, 1).all()
        assert (record["jackpot_share"] * 16 % 1 == 0).all()  # of a step's completions
    else:
        assert record["jackpot_share"].isna().all()


def test_a_protein_prompt_is_no_problem_of_arithmetic():
    reward = script.ProteinReward()
    with pytest.raises(ValueError, match="is no conditional protein prompt"):
        reward(prompts=["1+1"], completions=["AAAA"], log_metric=None)
    problem = Problem("p", "Input: AAAAAKKKKK \n Output:", "", "0.5", "conditional", 1)
    turns = [[{"role": "user", "content": prompt}] for prompt in ("", problem.prompt)]
    answers = [[{"role": "assistant", "content": "ALALALKKKK"}]] * 2
    unconditional, conditional = reward(prompts=turns, completions=answers, log_metric=lambda name, value: None)
    assert unconditional == pytest.approx(4 * 2.718281828 ** -(0.25**2 / 0.05) + 12 * 2.718281828 ** -(0.15**2 / 0.015))
    assert conditional == pytest.approx(10 * 2.718281828 ** -(0.1**2 / 0.05))


@pytest.mark.parametrize(
    ("prompts", "completions", "logged"),
    [
        (["", "", "", ""], ["LLLKKKKKKK", "LLLLLLLKKK", "LLLLLLLLLL", "LLLLLLLKK"], {"jackpot_share": 0.25}),
        (["", "Input: AKAKA \n Output:"], ["LLLLLLLKKK", "KKKKKKKKKK"], {"jackpot_share": 1.0}),
        (["Input: AKAKA \n Output:"], ["LLLLLLLKKK"], {}),
    ],
    ids=["unconditional", "both", "conditional"],
)
def test_the_share_of_jackpots_is_logged_of_the_unconditional_task_alone(prompts, completions, logged):
    found = {}
    script.ProteinReward()(prompts=prompts, completions=completions, log_metric=found.__setitem__)
    assert found == logged
