"""Grading: answers, the two verdicts, and the promise that no text can hang, kill or mislead a run."""

import faulthandler
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_aligned import grading
from compute_aligned.grading import (
    Grade,
    extract_answer,
    grade_many,
    math_verify_verdict,
    normalize_answer,
    paper_grader,
)

REPOSITORY = Path(__file__).resolve().parents[2]
MATH_500 = REPOSITORY.parent / "shared" / "data" / "math" / "test.jsonl"
CASES = json.loads((Path(__file__).parent / "grading_cases.json").read_text())

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates and control characters included
LATEX_PIECES = st.sampled_from(
    [*r"\{}$^_&%#~()[],.+-/*=<>|0189exi −", "\n", "\x00", r"\\", r"\$", r"\{", r"\}", r"\frac", r"\frac{"]
    + [r"\boxed{", r"\fbox{", r"\boxed", r"\sqrt", r"\sum_{k=1}", r"\int", r"\left(", r"\right)", r"\text{"]
    + [
        r"\begin{pmatrix}",
        r"\end{pmatrix}",
        r"\pi",
        r"\infty",
        r"\cup",
        r"\in",
        r"\pm",
        r"\circ",
        "1e999",
        "10^",
    ]
)
LATEX = st.lists(LATEX_PIECES, max_size=30).map("".join)


def grade_in_pool(pairs, verifier=math_verify_verdict, time_limit_s=20.0, workers=2, whole_is_answer=True):
    return grade_many(
        pairs,
        whole_is_answer=whole_is_answer,
        time_limit_s=time_limit_s,
        workers=workers,
        verifier=verifier,
    )


# Verifiers that misbehave on the answer "bad"; module-level, as their names are sent to the workers.
def stuck_in_python(answer, gold):
    while answer == "bad":
        pass
    return True


def stuck_in_c(answer, gold):
    if answer == "bad":
        10 ** (10**9)  # one operation of the interpreter: no signal handler written in Python gets a turn
    return True


def asleep(answer, gold):
    if answer == "bad":
        time.sleep(3600)
    return True


def crashing(answer, gold):
    if answer == "bad":
        faulthandler.disable()  # no traceback of a crash that is wanted
        os.kill(os.getpid(), signal.SIGSEGV)
    return True


def raising(answer, gold):
    if answer == "bad":
        raise RecursionError
    return True


def greedy(answer, gold):
    if answer == "bad":
        bytearray(4 * grading.WORKER_MEMORY_BYTES)
    return True


calls_log = Path()  # set by the test, inherited by its forked workers


def counting(answer, gold):
    with calls_log.open("a") as log:
        log.write(f"{answer}\n")
    return True


# --- cases written by hand ---


@pytest.fixture(scope="module")
def case_grades():
    """Grades of all cases, from one batch per kind of completion."""
    grades = {}
    for whole_is_answer in (True, False):
        pairs = [(c["completion"], c["gold"]) for c in CASES if c["whole_is_answer"] is whole_is_answer]
        results = grade_in_pool(pairs, whole_is_answer=whole_is_answer, time_limit_s=120)
        grades |= {(*pair, whole_is_answer): grade for pair, grade in zip(pairs, results, strict=True)}
    return grades


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['completion'][:25]!a}~{case['gold'][:25]!a}")
def test_case(case, case_grades):
    completion, gold, whole_is_answer = case["completion"], case["gold"], case["whole_is_answer"]
    grade = case_grades[completion, gold, whole_is_answer]
    outcome = "invalid" if case["answer"] is None else "right" if case["correct"] else "wrong"
    assert grade == Grade(case["answer"], case["correct"], case["correct_paper_grader"], outcome), case["why"]
    assert extract_answer(completion, whole_is_answer) == case["answer"]
    assert paper_grader(completion, gold, whole_is_answer) is case["correct_paper_grader"], case["why"]


def test_cases_are_many_and_distinct():
    assert len({(c["completion"], c["gold"], c["whole_is_answer"]) for c in CASES}) == len(CASES) >= 60


# --- MATH-500 ---


@pytest.fixture(scope="module")
def math_500():
    if not MATH_500.exists():
        pytest.skip(f"needs MATH-500 as {MATH_500.relative_to(REPOSITORY.parent)} beside the repository")
    return [json.loads(line) for line in MATH_500.read_text().splitlines()]


@pytest.mark.parametrize(("column", "whole_is_answer"), [("solution", False), ("answer", True)])
def test_every_math_500_gold_is_right_against_itself(math_500, column, whole_is_answer):
    pairs = [(row[column], row["answer"]) for row in math_500]
    grades = grade_in_pool(pairs, whole_is_answer=whole_is_answer)
    assert len(grades) == 500
    judged_wrong = [
        gold
        for (_, gold), grade in zip(pairs, grades, strict=True)
        if not grade.correct or not grade.correct_paper_grader
    ]
    assert judged_wrong == []


def test_every_math_500_gold_is_right_to_math_verify_itself(math_500):
    """Without the comparison of strings that answers these pairs first."""
    assert [row["answer"] for row in math_500 if not math_verify_verdict(row["answer"], row["answer"])] == []


@pytest.mark.parametrize("mark", ["_8", r"\text{ cm}"])
def test_no_two_math_500_golds_with_a_base_or_a_unit_are_taken_for_each_other(math_500, mark):
    """Each gold answer with a base or a unit, and the same digits with another one."""
    golds = {row["answer"] for row in math_500}
    based = [gold for gold in golds if "_" in gold]
    units = [gold for gold in golds if "box{" in gold or gold.endswith(("cents}", "degrees}"))]
    assert len(based) == 6 and len(units) == 4
    if mark == "_8":
        changed = [(re.sub(r"_\{?(\d+)\}?", lambda m: f"_{{{int(m[1]) + 1}}}", gold), gold) for gold in based]
    else:
        changed = [(re.sub(r"\\(?:text|mbox)\s*\{.*", r"\\text{ gallons}", gold), gold) for gold in units]
    assert all(answer != gold for answer, gold in changed)
    assert [grade.outcome for grade in grade_in_pool(changed)] == ["wrong"] * len(changed)


# --- numbers ---


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 99), st.integers(1, 99), st.integers(-60, -1))
def test_two_fractions_of_any_size_are_equal_where_their_values_are(top, other, exponent):
    answer, gold = (rf"\frac{{{number}}}{{10^{{{-exponent}}}}}" for number in (top, other))
    assert math_verify_verdict(answer, gold) is (top == other)


@settings(max_examples=40, deadline=None)
@given(st.integers(1000, 9999), st.integers(1000, 9999), st.integers(4, 30))
def test_decimals_of_any_size_show_four_digits(digits, others, zeros):
    answer, gold = f"0.{'0' * zeros}{digits}", f"0.{'0' * zeros}{others}"
    # The gold answer's zeros at the end are no digits of its number, so a digit of tolerance is left open.
    assert math_verify_verdict(answer, answer)
    if abs(digits - others) > 1:
        assert not math_verify_verdict(answer, gold)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=4))
def test_a_chain_of_equations_gives_its_last_number_where_it_is_true(numbers):
    sums = [f"{number - 1}+1" for number in numbers]
    assert math_verify_verdict("x=" + "=".join(sums), str(numbers[-1])) is (len(set(numbers)) == 1)


# --- the shortcuts agree with math-verify ---


@st.composite
def integer_strings(draw):
    sign, zeros = draw(st.sampled_from(["", "", "-", "+", "−"])), draw(st.integers(0, 2))
    return sign + "0" * zeros + str(draw(st.one_of(st.integers(0, 30), st.integers(0, 10**40))))


@settings(max_examples=300, deadline=None)
@given(integer_strings(), integer_strings())
def test_integers_are_judged_as_by_math_verify(answer, gold):
    [grade] = grade_many([(answer, gold)], whole_is_answer=True, time_limit_s=1, workers=1, verifier=raising)
    assert grade.correct is math_verify_verdict(answer, gold)


@settings(max_examples=100, deadline=None)
@given(integer_strings(), st.integers(-1, 1))
def test_neighbouring_integers_are_judged_as_by_math_verify(answer, step):
    gold = str(int(normalize_answer(answer)) + step)
    [grade] = grade_many([(answer, gold)], whole_is_answer=True, time_limit_s=1, workers=1, verifier=raising)
    assert grade.correct is math_verify_verdict(answer, gold) is (step == 0)


def test_no_pool_starts_where_strings_and_integers_decide(monkeypatch):
    monkeypatch.setattr(grading, "_one_pool", lambda *_: pytest.fail("a pool was started"))
    pairs = [("7", "7"), ("8", "7"), ("", "7"), (r"\text{Evelyn}", r"\text{Evelyn}"), ("x" * 10_000, "7")]
    assert [g.outcome for g in grade_in_pool(pairs)] == ["right", "wrong", "invalid", "right", "wrong"]
    assert grade_in_pool([]) == []


def test_importing_the_module_loads_no_parser():
    heavy = {"sympy", "math_verify", "torch", "pebble"}
    code = f"import sys, compute_aligned.grading; print({heavy} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert printed.strip() == "set()"


# --- the paper's tolerance ---


@pytest.mark.parametrize(("answer", "right"), [("0.50009999", True), ("0.5001", False), ("0.4999", False)])
def test_the_paper_tolerance_is_strict_and_exact(answer, right):
    assert paper_grader(answer, r"\frac{1}{2}", whole_is_answer=True) is right


@given(st.fractions(max_denominator=1000))
def test_a_fraction_equals_itself_however_it_is_written(value):
    top, bottom = value.numerator, value.denominator
    spellings = [f"{top}/{bottom}", rf"\frac{{{top}}}{{{bottom}}}", rf"\dfrac{{{top}}}{{{bottom}}}"]
    assert all(paper_grader(a, b, whole_is_answer=True) for a in spellings for b in spellings)


# --- votes ---


@given(st.one_of(ANY_TEXT, LATEX), st.booleans())
def test_an_answer_is_a_non_empty_string_without_white_space_or_none(completion, whole_is_answer):
    answer = extract_answer(completion, whole_is_answer)
    assert answer is None or answer and not any(character.isspace() for character in answer)


def test_half_and_one_over_two_are_two_votes_and_both_right():
    grades = grade_in_pool([("0.5", r"\frac{1}{2}"), ("1/2", r"\frac{1}{2}")])
    assert grades[0].answer != grades[1].answer
    assert all(grade.correct for grade in grades)


# --- time limits and crashes ---


@pytest.mark.parametrize("verifier", [stuck_in_python, stuck_in_c, asleep])
def test_a_stuck_verifier_is_killed_and_the_rest_is_graded_in_order(verifier):
    pairs = [
        ("a", "1"),
        ("bad", "1"),
        ("b", "1"),
        ("2", "1"),
        ("bad", "2"),
        ("c", "1"),
        ("1", "1"),
        ("bad", "1"),
    ]
    start = time.monotonic()
    grades = grade_in_pool(pairs, verifier, time_limit_s=0.5)
    assert time.monotonic() - start < 10
    assert [g.outcome for g in grades] == [
        *("right", "timeout", "right", "wrong", "timeout", "right", "right", "timeout")
    ]
    assert [g.answer for g in grades] == [completion for completion, _ in pairs]
    assert not any(g.correct for g in grades if g.outcome == "timeout")


def test_an_expression_that_hangs_sympy_is_a_timeout_not_a_wrong_answer():
    hanging = [("10^{10^{10^{10}}}", r"\frac37"), (r"\sum_{n=1}^{10^9} n^n", r"\frac37")]
    grades = grade_in_pool([("0.5", r"\frac12"), *hanging, ("2x", "x+x")], time_limit_s=1.5)
    assert [g.outcome for g in grades] == ["right", "timeout", "timeout", "right"]


@pytest.mark.parametrize("verifier", [crashing, raising, greedy])
def test_a_verifier_that_fails_leaves_the_comparison_of_strings(verifier, caplog):
    pairs = [("a", "1"), ("bad", "1"), ("bad", "bad"), ("b", "1"), ("", "1"), ("c", "1")]
    grades = grade_in_pool(pairs, verifier)
    assert [g.outcome for g in grades] == ["right", "wrong", "right", "right", "invalid", "right"]
    assert "failed on 1 of 4 answers" in caplog.text


def test_identical_pairs_are_verified_once(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "calls_log", tmp_path / "calls")
    pairs = [("a", "1"), ("b", "1"), ("a", "1"), (r"so \boxed{a}", "1"), ("b", "1")]
    grades = grade_in_pool(pairs, counting)
    assert [g.answer for g in grades] == ["a", "b", "a", "a", "b"]
    assert sorted(calls_log.read_text().split()) == ["a", "b"]


def test_a_verifier_that_cannot_be_sent_to_a_worker_is_an_error_not_a_wrong_answer():
    with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        grade_in_pool([("a", "1")], lambda answer, gold: True)


def test_workers_that_cannot_start_are_an_error_not_a_wrong_answer(monkeypatch):
    monkeypatch.setattr(grading, "_prepare_worker", lambda: os._exit(1))
    with pytest.raises(RuntimeError, match="no worker process could be kept alive for 1 answers"):
        grade_in_pool([("a", "1")], asleep)


def test_what_a_broken_pool_lost_is_graded_by_the_next_ones(monkeypatch):
    sizes = []

    def broken_pool(items, verifier, time_limit_s, workers):
        sizes.append(len(items))
        return {items[0]: "right"} if len(sizes) % 2 else {}

    monkeypatch.setattr(grading, "_one_pool", broken_pool)
    grades = grade_in_pool([(completion, "1") for completion in "abc"], asleep)
    assert [(g.answer, g.outcome) for g in grades] == [("a", "right"), ("b", "right"), ("c", "right")]
    assert sizes == [3, 2, 2, 1, 1]


# --- no text is too bad ---


@settings(max_examples=300, deadline=None)
@given(st.one_of(ANY_TEXT, LATEX), st.one_of(ANY_TEXT, LATEX), st.booleans())
def test_extraction_and_the_paper_grader_never_raise(completion, gold, whole_is_answer):
    assert paper_grader(completion, gold, whole_is_answer) in (True, False)
    answer = extract_answer(completion, whole_is_answer)
    assert answer is not None or not paper_grader(completion, gold, whole_is_answer)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(ANY_TEXT, LATEX), st.one_of(ANY_TEXT, LATEX)), min_size=10, max_size=30),
    st.booleans(),
)
def test_grading_never_raises(pairs, whole_is_answer):
    grades = grade_in_pool(pairs, whole_is_answer=whole_is_answer, time_limit_s=2.0)
    assert len(grades) == len(pairs)
    for (completion, gold), grade in zip(pairs, grades, strict=True):
        assert grade.answer == extract_answer(completion, whole_is_answer)
        assert grade.correct is (grade.outcome == "right")
        assert (grade.outcome == "invalid") is (grade.answer is None)
        assert grade.correct_paper_grader is paper_grader(completion, gold, whole_is_answer)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 10_000,
        "9" * 10_000,
        "9," * 5_000,
        "-" * 10_000,
        "\\" * 10_001,
        r"\boxed{" * 2_000,
        r"\frac{" * 2_000,
    ]
    + ["1.2." * 2_500, "1e" * 5_000, "$" * 10_000, " " * 10_000, "111," * 2_500 + "x", "x\x00\ud800" * 3_000],
    ids=lambda text: repr(text[:8]),
)
def test_ten_thousand_characters_take_no_time(text):
    start = time.monotonic()
    for whole_is_answer in (True, False):
        for pair in ((text, "1"), ("1", text), (rf"\boxed{{{text}}}", text)):
            grade_in_pool([pair], raising, whole_is_answer=whole_is_answer)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("end", [",1", ",", "", "x", ".1.1", ",1111", "..."])
def test_time_to_find_the_last_number_grows_with_the_length_not_its_square(end):
    def seconds(length: int) -> float:
        text = "1" + ",111" * (length // 4) + end
        times = []
        for _ in range(3):
            start = time.process_time()
            extract_answer(text, whole_is_answer=False)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(64_000) < 8 * max(seconds(16_000), 1e-3)  # 4 times where it is linear, 16 where it is quadratic


def test_thousands_groups_are_one_number_only_where_no_digit_follows():
    for text, number in [("1,234,567", "1,234,567"), ("1,234.5", "1,234.5"), ("1,234,56", "56"), ("12,34", "34")]:
        assert extract_answer(f"it is {text}.", whole_is_answer=False) == number
    assert extract_answer("1" + ",111" * 100, whole_is_answer=False) == "1" + ",111" * 100
