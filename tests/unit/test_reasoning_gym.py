"""Problems of reasoning-gym and their scorers: most on a stand-in of the package, some on the package where it is."""

import importlib.util
import sys
from contextlib import nullcontext

import pandas as pd
import pytest
import yaml
from conftest import REPO, SAMPLING
from grade_by_task import grade_by_task
from procedural import write_package

from compute_aligned.config.files import ConfigError
from compute_aligned.config.loading import load_settings
from compute_aligned.config.problems import check_problems
from compute_aligned.config.resolving import rl_settings, scorer_settings, training_settings
from compute_aligned.planning.layout import Layout
from compute_aligned.planning.plan import Plan
from compute_aligned.provenance.artifacts import read_artifact, write_artifact
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.reasoning_gym import Scorer
from compute_aligned.tasks.rewards import ScorerReward
from compute_aligned.tasks.sources import read_task
from compute_aligned.training import success_rates as rates
from compute_aligned.training.grpo_run import reward_of

SIZES = {"train": 30, "validation": 5, "test": 5}
installed = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="the package reasoning-gym is not installed"
)


def forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "reasoning_gym"]:
        del sys.modules[name]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The stand-in, before any other on the path, here and in the scorer's process."""
    write_package(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget()
    yield
    forget()


def task(name="doubling", **changes):
    content = {"loader": "reasoning_gym", "seed": 1, "task": name, "sizes": SIZES} | changes
    return read_task(content)


def refusal(name="doubling", **changes):
    with pytest.raises(ValueError) as error:
        load_task(task(name, **changes))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_splits_are_seeded_and_share_no_question(package):
    splits, _ = load_task(task())
    assert {split: len(problems) for split, problems in splits.items()} == SIZES
    problems = [problem for split in splits.values() for problem in split]
    assert len({problem.prompt for problem in problems}) == len({problem.problem_id for problem in problems}) == 40
    assert load_task(task())[0] == splits != load_task(task(seed=2))[0]
    problem = splits["test"][0]
    number = int(problem.prompt.removeprefix("Problem:\nDouble ").removesuffix("\nplease"))
    assert problem.answer == str(2 * number) and problem.target == f"\\boxed{{{2 * number}}}"
    assert problem.subject == "doubling" and problem.level == 1
    small = [problem for split in load_task(task(settings={"largest": 60}))[0].values() for problem in split]
    assert len({problem.prompt for problem in small}) == 40 and all(int(p.answer) <= 120 for p in small)
    framed = load_task(task(prompt="{problem} End with \\boxed{}."))[0]["test"][0]
    assert framed.prompt == f"Double {number}\nplease End with \\boxed{{}}."


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("silence", {}, "reasoning-gym has no task 'silence'; the nearest is silent; it has doubling, leg_counting, "),
        ("doubling", {"settings": {"largest": 0}}, "reasoning-gym's task 'doubling': largest must be positive"),
        ("doubling", {"settings": {"smallest": 0}}, "'doubling': create_dataset() got an unexpected keyword argument"),
        ("repeating", {}, "'repeating': 40 problems were asked for, found 3 different ones in 800 tries; wanted fewer"),
        ("silent", {}, "'silent': found None as the answer to question 0, wanted a text"),
        ("restless", {}, "'restless': it makes other questions or answers in each process"),
    ],
)
def test_a_task_that_cannot_be_used_is_refused_in_one_sentence(package, name, changes, said):
    assert said in refusal(name, **changes)


def test_without_the_package_one_sentence_says_how_to_get_it_before_the_first_job(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = "loader reasoning_gym needs the package reasoning-gym, which is not installed; `pip install --constraint"
    assert said in refusal() and "constraints.txt --editable '.[reasoning-gym]'`" in refusal()
    with pytest.raises(ConfigError, match=f"my.yaml: data.math: {said}"):
        check_problems(settings(), "my.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"smallest": 0}}, "reasoning-gym's task 'doubling': .*unexpected keyword argument"),
        ({}, "problem doubling/000000, in its prompt or target: found the character 'P', which models.math"),
    ],
)
def test_settings_and_characters_are_looked_at_before_the_first_job(package, changes, said):
    ours = settings()
    ours["preset"]["data"]["math"] |= changes
    with pytest.raises(ConfigError, match=f"my.yaml: data.math: {said}"):
        check_problems(ours, "my.yaml")


def test_a_full_score_is_right_and_nothing_that_an_answer_does_ends_the_scoring(package):
    problem = load_task(task())[0]["train"][0]
    double = int(problem.answer)
    with Scorer(task().questions, time_limit_s=3) as scorer:
        assert scorer(problem.prompt, problem.answer) is True
        assert scorer(problem.prompt, f"{double - 2} + 2") is True  # the scorer's word counts, not the text
        assert scorer(problem.prompt, f"{double + 2}") is False  # partial credit
        assert scorer(problem.prompt, "no Python") is False
        assert scorer(problem.prompt, "die") is False
        assert scorer(problem.prompt, "sleep") is None
        assert scorer(problem.prompt, f"{double} + 0") is True  # in a new process
        with pytest.raises(ValueError, match="does not ask 'Problem:.*wanted the version that made the problems"):
            scorer(problem.prompt.replace("Double", "Halve"), "1")


def test_samples_are_graded_and_rewarded_by_the_scorer(package, tmp_path):
    problem = load_task(task())[0]["test"][0]
    double = int(problem.answer)
    texts = [f"\\boxed{{{double - 2} + 2}}", f"So it is {double}.", f"\\boxed{{{double + 2}}}", "I give up", "\\boxed{"]
    samples = pd.DataFrame({"problem_id": problem.problem_id, "sample": range(5), "completion": texts})
    samples = samples.assign(finish_reason="stop", n_tokens=1, mean_logprob=-1.0)
    write_artifact(samples, "samples", tmp_path / "samples.parquet")
    write_artifact(pd.DataFrame([vars(problem)]), "problems", tmp_path / "problems.parquet")
    with Scorer(task().questions) as scorer:
        files = (tmp_path / "samples.parquet", tmp_path / "problems.parquet")
        facts = grade_by_task(*files, "solution", scorer, tmp_path / "scores.parquet")
        logged = {}
        values = ScorerReward(scorer, whole_is_answer=False)(
            [[{"role": "user", "content": problem.prompt}]] * 5,
            [[{"role": "assistant", "content": text}] for text in texts],
            log_extra=logged.__setitem__,
            answer=[problem.answer] * 5,
        )
    scores = read_artifact("scores", tmp_path / "scores.parquet")
    assert list(scores["outcome"]) == ["right", "right", "wrong", "invalid", "invalid"]
    assert list(scores["correct"]) == [True, True, False, False, False]
    assert list(scores["correct_paper_grader"]) == [False, True, False, False, False]
    assert list(scores["reward"]) == values == [1, 1, 0, 0, 0]
    # The string that votes are counted on: the answer without white space.
    votes = [f"{double - 2}+2", str(double), str(double + 2), None, None]
    assert logged["answer"] == votes and [None if pd.isna(a) else a for a in scores["answer"]] == votes
    assert facts == {"outcomes": {"right": 2, "invalid": 2, "wrong": 1}, "graders_differ": 1}


def settings():
    """Tiny's, whose recipes on answers get problems of the task."""
    preset = yaml.safe_load((REPO / "config" / "tiny.yaml").read_text())
    sizes = {"train": 5600, "validation": 400, "test": 1200}
    preset["data"]["math"] = {"loader": "reasoning_gym", "seed": 1, "task": "doubling", "sizes": sizes}
    return load_settings(preset, "my.yaml", REPO / "config")


def test_runs_of_such_a_task_are_graded_and_rewarded_by_it_and_others_as_ever():
    found = settings()
    plan = Plan(found, Layout("results/tiny"))
    assert "math_rl_pass" in plan.scored_by_task and "math_rl_pass" not in plan.rewarded_for("answer")
    run = rl_settings(found, "math_rl_pass", "grpo", 1)
    assert run.questions == scorer_settings(found, "math_rl_pass")
    assert run.questions.n == 7200 and "questions" in run.plain()
    marginal, ce = (training_settings(found, "math_sft_majority", name, 1) for name in ("pass_n16_marginal", "ce"))
    assert marginal.questions == run.questions and "questions" not in ce.plain()
    assert scorer_settings(found, "protein_conditional") is None
    assert "questions" not in rl_settings(found, "protein_conditional", "grpo", 1).plain()


def test_the_reward_of_a_run_is_its_tasks_scorer(package):
    assert isinstance(reward_of(rl_settings(settings(), "math_rl_pass", "grpo", 1)), ScorerReward)


def test_success_rates_are_measured_by_the_scorer(package, monkeypatch):
    problem = load_task(task())[0]["train"][0]
    texts = [f"\\boxed{{{problem.answer} + 0}}", "\\boxed{1}", "I give up", f"It is {problem.answer}"]

    class Completion:
        def __init__(self, text):
            self.tokens = text

    class Tokenizer:
        def batch_decode(self, tokens, skip_special_tokens):
            return tokens

    monkeypatch.setattr(rates, "sample_pools", lambda *given: [(0, list(map(Completion, texts)))])
    monkeypatch.setattr(rates, "sampling_mode", lambda model: nullcontext())
    sampling = SAMPLING | {"n_samples": 4, "max_new_tokens": 1, "rows_per_batch": 1}
    given = (None, Tokenizer(), [problem], [[1]], 0, 0, sampling, False)
    with Scorer(task().questions) as scorer:
        assert rates.sampled_success_rates(*given, scorer) == [2 / 4]
    assert rates.sampled_success_rates(*given) == [1 / 4]  # the paper's grader knows no sums


@installed
@pytest.mark.parametrize("name", ["leg_counting", "countdown"])  # numbers; expressions that sympy reads
def test_tasks_of_the_package_make_problems_and_score_answers(name):
    forget()
    content = task(name, sizes={"train": 3, "validation": 1, "test": 2})
    problem = load_task(content)[0]["test"][0]
    with Scorer(content.questions) as scorer:
        assert scorer(problem.prompt, problem.answer) is True
        assert scorer(problem.prompt, "1") is False
        if name == "countdown":
            assert scorer(problem.prompt, f"({problem.answer})") is True


@installed
def test_a_task_of_the_package_whose_questions_differ_between_processes_is_refused():
    forget()
    assert "it makes other questions or answers in each process" in refusal("isomorphic_strings")
