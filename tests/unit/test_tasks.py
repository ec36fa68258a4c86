"""Problems: splits that share nothing, solutions that are true, rows that are refused by name."""

import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import re
from collections import Counter

import pandas as pd
import pytest
import yaml
from conftest import REPO
from make_problems import make_problems

import compute_aligned.tasks.arithmetic as arithmetic_task
from compute_aligned.config.files import ConfigError, check_content
from compute_aligned.config.presets import Preset
from compute_aligned.grading import extract_answer, math_verify_verdict
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.hashing import sha256_file
from compute_aligned.tasks import Problem, refuse_overlap, select
from compute_aligned.tasks.arithmetic import ALPHABET, generate_splits
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.sources import read_task

SIZES = {"train": 2000, "validation": 300, "test": 300}  # those of the tiny preset
MATH = REPO.parent / "shared" / "data" / "math"


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    return text


# --- arithmetic ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arithmetic():
    return generate_splits(1, SIZES)


def test_splits_have_their_sizes_and_share_no_problem(arithmetic):
    assert {name: len(problems) for name, problems in arithmetic.items()} == SIZES
    prompts = [problem.prompt for problems in arithmetic.values() for problem in problems]
    ids = [problem.problem_id for problems in arithmetic.values() for problem in problems]
    assert len(set(prompts)) == len(set(ids)) == sum(SIZES.values())
    refuse_overlap(arithmetic)


def test_a_seed_gives_the_same_problems_again_and_another_seed_others(arithmetic):
    assert generate_splits(1, SIZES) == arithmetic
    other = generate_splits(2, SIZES)
    assert {p.prompt for p in other["train"]} != {p.prompt for p in arithmetic["train"]}


def test_all_levels_occur_in_every_split_in_similar_shares(arithmetic):
    for name, problems in arithmetic.items():
        counts = Counter(problem.level for problem in problems)
        assert sorted(counts) == [1, 2, 3, 4, 5]
        assert min(counts.values()) > 0.7 * len(problems) / 5, (name, counts)
        assert max(counts.values()) < 1.3 * len(problems) / 5, (name, counts)


def test_every_step_of_every_solution_is_a_true_equation_and_the_last_line_boxes_the_value(arithmetic):
    for problems in arithmetic.values():
        for problem in problems:
            *steps, last = problem.target.splitlines()
            for step in steps:
                left, right = step.split("=")
                assert eval(left) == int(right), problem
            value = eval(problem.prompt)
            assert re.fullmatch(r"\\boxed\{(-?\d+)\}", last).group(1) == str(value) == problem.answer


def test_half_of_the_solutions_are_the_answer_alone_and_the_problems_do_not_depend_on_it(monkeypatch):
    sizes = {"train": 3000, "test": 300}
    mixed = generate_splits(1, sizes)
    share = sum(p.target == f"\\boxed{{{p.answer}}}" for p in mixed["train"]) / 3000
    assert abs(share - 1 / 2) < 4 * math.sqrt(1 / 4 / 3000)
    monkeypatch.setattr(arithmetic_task, "SHORT_SHARE", 0)
    worked = generate_splits(1, sizes)
    for split in sizes:
        assert [(p.prompt, p.answer) for p in mixed[split]] == [(p.prompt, p.answer) for p in worked[split]]
        assert all("=" in p.target for p in worked[split])


def test_the_alphabet_covers_every_text(arithmetic):
    used = {c for problems in arithmetic.values() for p in problems for c in p.prompt + p.target + p.answer}
    assert used <= set(ALPHABET)


def test_the_problem_script_writes_every_split(tmp_path):
    data = {"loader": "arithmetic", "seed": 1, "sizes": {"train": 30, "validation": 5, "test": 5}}
    paths = {split: str(tmp_path / f"{split}.parquet") for split in data["sizes"]}
    assert make_problems(read_task(data), paths)["n_problems"] == data["sizes"]
    for split, path in paths.items():
        rows = [Problem(**row) for row in read_artifact("problems", path).to_dict("records")]
        assert rows == load_task(read_task(data))[0][split]


# --- selection -------------------------------------------------------------------------------------------------------


def test_selection_filters_by_level_then_shuffles_then_takes(arithmetic):
    problems = arithmetic["train"]
    chosen = select(problems, [1, 3], 50, seed=4)
    kept = [problem for problem in problems if problem.level in (1, 3)]
    assert len(chosen) == 50 and {problem.level for problem in chosen} == {1, 3}
    everything = select(problems, [1, 3], None, seed=4)
    assert everything[:50] == chosen  # a larger selection begins with the smaller one
    assert everything != kept and sorted(everything, key=kept.index) == kept
    assert select(problems, [1, 3], 50, seed=4) == chosen
    assert select(problems, [1, 3], 50, seed=5) != chosen


def test_selection_leaves_the_split_in_its_order(arithmetic):
    before = list(arithmetic["test"])
    select(arithmetic["test"], [1, 2, 3, 4, 5], None, seed=1)
    assert arithmetic["test"] == before


def test_more_problems_than_there_are_is_refused_with_the_counts(arithmetic):
    n = sum(problem.level == 2 for problem in arithmetic["test"])
    with pytest.raises(ValueError) as error:
        select(arithmetic["test"], [2], n + 1, seed=1)
    sentence = one_sentence(error)
    assert f"{n + 1} problems of levels [2]" in sentence and f"found {n}" in sentence and f"2: {n}" in sentence


def test_a_problem_that_stands_in_two_splits_is_refused_whatever_its_blanks():
    one = Problem("train/1", "What is\n 1+2?", "3", "3", "s", 1)
    same = Problem("test/9", " What is 1+2? ", "3", "3", "s", 1)
    other = Problem("test/8", "What is 1+3?", "4", "4", "s", 1)
    refuse_overlap({"train": [one, one], "test": [other]})
    with pytest.raises(ValueError) as error:
        refuse_overlap({"train": [one], "test": [other, same]})
    sentence = one_sentence(error)
    assert "test/9" in sentence and "'test'" in sentence and "'train'" in sentence


# --- MATH ------------------------------------------------------------------------------------------------------------


def math_row(number, **changes):
    return {
        "problem": f"What is {number}+1?",
        "solution": f"It is $\\boxed{{{number + 1}}}$.",
        "answer": str(number + 1),
        "subject": "Algebra",
        "level": 1 + number % 5,
        "unique_id": f"algebra/{number}",
    } | changes


@pytest.fixture
def write_rows(tmp_path):
    """Write MATH rows as local files; returns the source that names them."""

    def write(train, test, ending="jsonl"):
        source = {}
        for split, rows in (("train", train), ("test", test)):
            path = tmp_path / f"{split}.{ending}"
            if ending == "parquet":
                pd.DataFrame(rows).to_parquet(path)
            else:
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            source[f"{split}_file"] = str(path)
        return source

    return write


COLUMNS = {name: name for name in ("problem", "solution", "answer", "subject", "level")} | {"id": "unique_id"}


def table(source, validation_size=3, seed=1, **changes):
    """What a preset says of such rows."""
    return {
        "loader": "table",
        "seed": seed,
        "validation_size": validation_size,
        "columns": COLUMNS,
        "source": source,
    } | changes


def load_splits(source, **changes):
    return load_task(read_task(table(source, **changes)))


def load(source, **changes):
    """The splits alone."""
    return load_splits(source, **changes)[0]


TRAIN, TEST = [math_row(n) for n in range(10)], [math_row(n) for n in range(100, 105)]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_local_rows_become_problems(write_rows, ending):
    splits = load(write_rows(TRAIN, TEST, ending))
    assert {name: len(problems) for name, problems in splits.items()} == {"validation": 3, "train": 7, "test": 5}
    assert splits["test"][0] == Problem(
        problem_id="algebra/100",
        prompt="Problem:\nWhat is 100+1?",
        target="It is $\\boxed{101}$.",
        answer="101",
        subject="Algebra",
        level=1,
    )
    assert {p.problem_id for p in splits["train"] + splits["validation"]} == {row["unique_id"] for row in TRAIN}
    again = load(write_rows(TRAIN, TEST, ending))
    assert again == splits
    other = load(write_rows(TRAIN, TEST, ending), seed=2)
    assert other["validation"] != splits["validation"] and other["test"] == splits["test"]


def test_the_level_may_be_written_as_in_the_original_data(write_rows):
    rows = [row | {"level": f"Level {row['level']}"} for row in TRAIN]
    splits = load(write_rows(rows, TEST))
    assert {p.problem_id: p.level for p in splits["train"] + splits["validation"]} == {
        row["unique_id"]: row["level"] for row in TRAIN
    }


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("solution", "", ["train row 4", "'solution'", "missing or empty"]),
        ("answer", None, ["train row 4", "'answer'", "missing or empty"]),
        ("level", 7, ["train row 4", "level is 7", "wanted 1 to 5"]),
    ],
)
def test_a_bad_row_is_named(write_rows, column, value, said):
    rows = [row | {column: value} if place == 4 else row for place, row in enumerate(TRAIN)]
    with pytest.raises(ValueError) as error:
        load(write_rows(rows, TEST))
    assert [word for word in said if word not in one_sentence(error)] == []


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("problem", " \n", "column 'problem' is missing or empty: found ' \\n', wanted a value"),
        ("answer", "\t", "column 'answer' is missing or empty: found '\\t', wanted a value"),
        ("answer", 0.5, "column 'answer': found 0.5, wanted a text or a whole number"),
        ("answer", math.inf, "column 'answer': found inf, wanted a text or a whole number"),
        ("answer", True, "column 'answer': found True, wanted a text or a whole number"),
        ("answer", ["5"], "column 'answer': found ['5'], wanted a text or a whole number"),
        ("answer", {"value": "5"}, "column 'answer': found {'value': '5'}, wanted a text or a whole number"),
        ("problem", 5, "column 'problem': found 5, wanted a text"),
        ("problem", ["x"] * 99, "column 'problem': found ['x', 'x', "),
        ("solution", {"text": "x"}, "column 'solution': found {'text': 'x'}, wanted a text"),
        ("subject", False, "column 'subject': found False, wanted a text"),
        ("level", True, "column 'level': level is True, wanted 1 to 5"),
        ("level", 3.0, "column 'level': level is 3.0, wanted 1 to 5"),
        ("level", [3], "column 'level': level is [3], wanted 1 to 5"),
        ("unique_id", "", "column 'unique_id': found '', wanted a text or a whole number"),
        ("unique_id", ["a"], "column 'unique_id': found ['a'], wanted a text or a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_file_row_and_column(write_rows, ending, column, value, said):
    # All rows, since a column of Parquet has one type.
    source = write_rows([row | {column: value} for row in TRAIN], TEST, ending)
    with pytest.raises(ValueError) as error:
        load(source)
    line = ", line 1" if ending == "jsonl" else ""
    assert one_sentence(error).startswith(f"{source['train_file']}{line}: train row 0: {said}")
    assert len(str(error.value)) < 400


def test_whole_numbers_are_read_as_the_text_that_they_are(write_rows):
    rows = [row | {"answer": int(row["answer"]), "unique_id": number} for number, row in enumerate(TRAIN)]
    for ending in ("jsonl", "parquet"):
        splits = load(write_rows(rows, TEST, ending))
        found = {p.problem_id: p.answer for p in splits["train"] + splits["validation"]}
        assert found == {str(number): row["answer"] for number, row in enumerate(TRAIN)}


# --- tables of other columns -----------------------------------------------------------------------------------------

GSM8K = {
    "columns": {"problem": "question", "answer": "answer", "solution": "answer"},
    "answer_pattern": r"#### (.+)$",
    "remove_pattern": r"<<.*?>>|(?<=\d),(?=\d{3})",
}
CHOICES = {
    "columns": {"problem": "question", "answer": "key"},
    "prompt": "{problem}\nA. {A}\nB. {B}\nEnd with \\boxed{}.",
}


def word_problem(n, answer="9,{n:03}+1=<<9{n:03}+1=9{m:03}>>9,{m:03}\nIt is so.\n#### 9,{m:03} "):
    return {"question": f"What is 9{n:03}+1?", "answer": answer.format(n=n, m=n + 1)}


def choice(n):
    return {"question": f"Is {n} odd?", "A": "yes", "B": n, "key": "AB"[n % 2]}


@pytest.mark.parametrize(
    ("rows", "changes", "prompt", "target", "answer"),
    [
        # A pattern takes the answer out of the solution, and the box that the grader reads stands in its place.
        (word_problem, GSM8K, "Problem:\nWhat is 9100+1?", "9100+1=9101\nIt is so.\n\\boxed{9101}", "9101"),
        (choice, CHOICES, "Is 100 odd?\nA. yes\nB. 100\nEnd with \\boxed{}.", "\\boxed{A}", "A"),
        # A box that is there stays, and so does the text around it.
        (
            lambda n: {"question": f"{n}?", "worked": f" \\boxed{{{n}}}.\n#### {n} or so", "answer": n},
            {"columns": {"problem": "question", "answer": "answer", "solution": "worked"}},
            "Problem:\n100?",
            " \\boxed{100}.\n#### 100 or so",
            "100",
        ),
        (
            lambda n: {"question": f"{n}?", "worked": f"{n} is \\boxed {n}"},
            {
                "columns": {"problem": "question", "answer": "worked", "solution": "worked"},
                "answer_pattern": r"boxed (\d+)",
            },
            "Problem:\n100?",
            "100 is \\boxed 100",
            "100",
        ),
        # Where patterns match several times the last one counts.
        (
            lambda n: {"question": f"{n}?", "worked": f"#### 1\nno, #### {n}\nSo."},
            {
                "columns": {"problem": "question", "answer": "worked", "solution": "worked"},
                "answer_pattern": r"#### (\d+)",
            },
            "Problem:\n100?",
            "#### 1\nno,\nSo.\n\\boxed{100}",
            "100",
        ),
    ],
)
def test_a_table_is_read_as_its_columns_and_patterns_say(write_rows, rows, changes, prompt, target, answer):
    source = write_rows(list(map(rows, range(10))), list(map(rows, range(100, 103))))
    splits = load(source, **changes)
    assert {split: len(problems) for split, problems in splits.items()} == {"validation": 3, "train": 7, "test": 3}
    assert splits["test"][0] == Problem("test/00000", prompt, target, answer, "none", 1)
    for problem in splits["train"]:
        assert extract_answer(problem.target, False) == problem.answer


@pytest.mark.parametrize(
    ("row", "changes", "said"),
    [
        (
            {"answer": "It is 5."},
            {},
            ": train row 4: column 'answer': found 'It is 5.', wanted a text in which the an",
        ),
        ({"answer": "#### \t"}, {}, ": train row 4: column 'answer': found '#### \\t', wanted a text in which the an"),
        (
            {"answer": "#### x"},
            {"remove_pattern": "x"},
            ": train row 4: column 'answer': remove_pattern leaves nothing",
        ),
        (
            {},
            {"prompt": "{problem} {hint}"},
            ": train row 0: column 'hint', named in the prompt, is missing; found que",
        ),
        ({}, {"columns": GSM8K["columns"] | {"problem": "text"}}, ": train row 0: column 'text', named as columns.pro"),
    ],
)
def test_what_a_row_lacks_is_said_with_its_line(write_rows, row, changes, said):
    rows = [word_problem(n) | (row if n == 4 else {}) for n in range(10)]
    source = write_rows(rows, [word_problem(100)])
    with pytest.raises(ValueError) as error:
        load(source, **GSM8K | changes)
    assert said in one_sentence(error) and one_sentence(error).startswith(f"{source['train_file']}, line ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"answer_pattern": "#### .+"},
            "answer_pattern: found '#### .+', wanted a regular expression with one group (...)",
        ),
        (
            {"answer_pattern": "(#### (.+)"},
            "answer_pattern: found '(#### (.+)', wanted a regular expression (missing ), ",
        ),
        ({"remove_pattern": "(x)"}, "remove_pattern: found '(x)', wanted a regular expression without a group"),
        ({"prompt": "{question}"}, "prompt: found '{question}', wanted a text with {problem} in it"),
        ({"prompt": "{problem} \\boxed{answer}"}, "wanted a prompt without {answer}, which holds the answer"),
        ({"columns": {"problem": "question"}}, "columns: the key 'answer' is missing; found problem"),
        (
            {"columns": GSM8K["columns"] | {"question": "q"}},
            "columns: unknown key 'question'; allowed are problem, answer",
        ),
        ({"source": {"train_file": "a"}}, "source: the key 'test_file' is missing beside 'train_file'"),
    ],
)
def test_what_a_table_may_not_say_is_refused_with_the_key(changes, said):
    preset = yaml.safe_load((REPO / "config" / "small.yaml").read_text())
    preset["data"]["math"] = table(**{"source": {"train_file": "a", "test_file": "b"}} | GSM8K | changes)
    with pytest.raises(ConfigError) as error:
        check_content(preset, Preset, "mine.yaml")
    assert said in one_sentence(error) and one_sentence(error).startswith("mine.yaml: data.math")


def test_a_subset_and_parts_of_a_split_of_the_hub_are_asked_for(monkeypatch):
    asked = []

    def load_dataset(hub, **options):
        asked.append((hub, options))
        return [word_problem(n + 100 * (options["split"] != "train[:90%]")) for n in range(5)]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    source = {"hub": "openai/gsm8k", "revision": "c0", "subset": "main", "train_split": "train[:90%]"}
    load(source | {"test_split": "train[90%:]"}, **GSM8K)
    options = [{"revision": "c0", "split": split, "name": "main"} for split in ("train[:90%]", "train[90%:]")]
    assert asked == [("openai/gsm8k", option) for option in options]


def test_rows_of_csv_are_those_of_json_lines_however_they_are_quoted(write_rows, tmp_path):
    train, test = list(map(word_problem, range(10))), list(map(word_problem, range(100, 103)))
    test[1]["question"] = 'A "comma", a\u2028mark\r\nand lines\n\nin one cell'
    source = write_rows(train, test)
    for split, rows in (("train", train), ("test", test)):
        (tmp_path / f"{split}.csv").write_bytes(b"\xef\xbb\xbf" + as_csv(rows))
    assert load({key: value.replace("jsonl", "csv") for key, value in source.items()}, **GSM8K) == load(source, **GSM8K)
    assert load(source, **GSM8K)["test"][1].prompt.endswith("in one cell")


def test_levels_of_csv_are_texts(write_rows, tmp_path):
    source = write_rows(TRAIN, TEST)
    (tmp_path / "train.csv").write_bytes(as_csv(TRAIN))
    assert load(source | {"train_file": str(tmp_path / "train.csv")}) == load(source)


def test_the_letters_of_a_multiple_choice_are_told_apart():
    letters = "ABCDEFGHIJ"
    for gold in letters:
        for answer in (gold, f"\\text{{{gold}}}", f"({gold})"):
            assert math_verify_verdict(answer, gold), answer
        assert [answer for answer in letters if answer != gold and math_verify_verdict(answer, gold)] == []


LINES = [json.dumps(row) for row in TRAIN]


def as_csv(rows):
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows):
    file = io.BytesIO()
    pd.DataFrame(rows).to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", b"", ": found no rows, wanted at least one"),
        ("rows.jsonl", b"\n \r\n", ": found no rows, wanted at least one"),
        ("rows.json", b"[]", ": found no rows, wanted at least one"),
        ("rows.parquet", b"", ": found no whole Parquet file, wanted one ("),
        ("rows.parquet", as_parquet(TRAIN)[:-20], ": found no whole Parquet file, wanted one ("),
        ("rows.parquet", as_parquet(TRAIN[:0]), ": found no rows, wanted at least one"),
        ("rows.parquet", "\n".join(LINES).encode(), ": found no whole Parquet file, wanted one ("),
        ("rows.jsonl", as_parquet(TRAIN), ": found a Parquet file, wanted JSON; its name should end in .parquet"),
        ("rows.csv", as_parquet(TRAIN), ": found a Parquet file, wanted CSV; its name should end in .parquet"),
        ("rows.csv", b"", ": found no rows, wanted at least one"),
        ("rows.csv", b"problem,answer\n", ": found no rows, wanted at least one"),
        ("rows.csv", b"problem,problem\n1,2\n", ", line 1: found column 'problem' twice, wanted it once"),
        ("rows.csv", as_csv(TRAIN[:2]) + b"\n4\n", ", line 5: found 1 values, wanted 6, one of each column"),
        ("rows.csv", as_csv(TRAIN[:2]) + b'"3,4\n', ", line 4: found no CSV, wanted comma-separated values ("),
        ("rows.csv", b"problem,answer\n1,\xfc\n", ", line 2: found the byte 0xfc, which is no UTF-8"),
        (
            "rows.csv",
            b"problem;solution\n1;2\n",
            ", line 2: test row 0: column 'problem', named as columns.problem, is missing; found problem;solution",
        ),
        (
            "rows.jsonl",
            as_csv(TRAIN),
            ", line 1: found 'problem,solution,answer,subject,level,unique_id', wanted a JSON",
        ),
        ("rows.jsonl", "\n".join([*LINES[:3], LINES[3][:40]]).encode(), ', line 4: found \'{"problem": "What is 3+1?'),
        (
            "rows.jsonl",
            "\n\n".join([LINES[0], "{'problem': 1}"]).encode(),
            ", line 3: found \"{'problem': 1}\", wanted a",
        ),
        ("rows.jsonl", (LINES[0] + LINES[1]).encode(), ", line 1: found '{"),
        ("rows.jsonl", b"[1, 2]", ", line 1: found [1, 2], wanted a JSON object"),
        ("rows.jsonl", b"[" * 100_000, ", line 1: found '[[["),
        ("rows.jsonl", b'{"answer": "1", "answer": "2"}', ", line 1: found column 'answer' twice, wanted it once"),
        ("rows.json", json.dumps(TRAIN, indent=1).encode()[:-3], ": found '[\\n {"),
        ("rows.json", b'["a"]', ": found 'a', wanted a JSON object"),
        (
            "rows.jsonl",
            "\n".join([LINES[0], LINES[1].replace("What", "Où")]).encode("latin-1"),
            ", line 2: found the byte",
        ),
        (
            "rows.jsonl",
            LINES[0].encode("utf-16"),
            ", line 1: found the byte 0xff, which is no UTF-8, wanted text in UTF-8",
        ),
        (
            "rows.jsonl",
            LINES[0].replace("What", r"\ud800").encode(),
            ", line 1: test row 0: column 'problem': found",
        ),
    ],
)
def test_a_broken_file_is_named_with_line_what_was_found_and_what_was_wanted(write_rows, tmp_path, name, content, said):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load(write_rows(TRAIN, TEST) | {"test_file": str(file)})
    assert one_sentence(error).startswith(f"{file}{said}")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", "\ufeff" + "\r\n".join(LINES) + "\r\n\r\n"),
        ("rows.json", json.dumps(TRAIN, indent=2)),
        ("rows.json", "\n".join(LINES)),
        # U+2028 may stand as it is in a JSON text; it ends no line
        ("rows.jsonl", "\n".join(json.dumps(row | {"subject": "A\u2028B"}, ensure_ascii=False) for row in TRAIN)),
    ],
)
def test_marks_blank_lines_and_arrays_do_no_harm(write_rows, tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content.encode())
    splits = load(write_rows(TRAIN, TEST) | {"train_file": str(file)})
    found = {p.problem_id: p.answer for p in splits["train"] + splits["validation"]}
    assert found == {row["unique_id"]: row["answer"] for row in TRAIN}


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_file_replaced_at_its_path_with_its_size_and_time_is_read_anew(write_rows, tmp_path, ending):
    source = write_rows(TRAIN, TEST, ending)
    file = tmp_path / f"test.{ending}"
    paths = {split: str(tmp_path / f"{split} problems.parquet") for split in ("train", "validation", "test")}
    data = table(source)

    def answers():
        make_problems(read_task(data), paths)
        return list(read_artifact("problems", paths["test"])["answer"])

    before, times, size, content = answers(), file.stat(), file.stat().st_size, sha256_file(file)
    write_rows(TRAIN, [row | {"answer": str(int(row["answer"]) + 1)} for row in TEST], ending)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == size and file.stat().st_mtime_ns == times.st_mtime_ns
    assert sha256_file(file) != content  # what the manifest says of it
    assert answers() == [str(int(answer) + 1) for answer in before]


def test_rows_of_the_hub_are_checked_alike(monkeypatch):
    def load_dataset(hub, revision, split):
        assert (hub, revision) == ("someone/math", "main")
        return [*(TRAIN if split == "train" else TEST), math_row(300, answer=0.5)]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(ValueError, match="someone/math: train row 10: column 'answer': found 0.5, wanted a text"):
        load({"hub": "someone/math", "revision": "main"})


def test_a_missing_column_is_named(write_rows):
    rows = [{key: value for key, value in row.items() if key != "subject"} for row in TEST]
    with pytest.raises(ValueError, match="test row 0: column 'subject'"):
        load(write_rows(TRAIN, rows))


def test_a_training_problem_that_stands_in_the_test_split_is_left_out_of_training_and_counted(write_rows):
    repeated = math_row(3, problem="What \n is  3+1? ", unique_id="algebra/3 again")
    splits, found = load_splits(write_rows(TRAIN, [*TEST, repeated]))
    assert [problem.problem_id for problem in splits["test"]] == [row["unique_id"] for row in [*TEST, repeated]]
    trained = {problem.problem_id for problem in splits["train"] + splits["validation"]}
    assert trained == {row["unique_id"] for row in TRAIN} - {"algebra/3"}
    assert found["repeats"] == {"train_in_test": 1, "within_train": 0, "within_test": 0}


def test_of_equal_training_problems_the_first_is_kept_so_that_none_is_in_train_and_validation(write_rows):
    repeats = [math_row(n, problem=f"What is\t{n}+1?", answer="another", unique_id=f"again/{n}") for n in (2, 5, 5)]
    repeats[2]["unique_id"] = "yet again/5"
    again = math_row(100, unique_id="again/100")  # test rows are all kept
    source = write_rows([*TRAIN, *repeats], [*TEST, again])
    for seed in range(5):
        splits, found = load_splits(source, seed=seed)
        trained = splits["train"] + splits["validation"]
        assert sorted(problem.problem_id for problem in trained) == sorted(row["unique_id"] for row in TRAIN)
        assert found["repeats"] == {"train_in_test": 0, "within_train": 3, "within_test": 1}
        assert found["rows"]["train"] == 13 and len(splits["test"]) == found["rows"]["test"] == 6


def test_an_id_that_stands_twice_is_refused(write_rows):
    with pytest.raises(ValueError, match="the id 'algebra/4' stands 2 times in train and test") as error:
        load(write_rows(TRAIN, [*TEST, math_row(200, unique_id="algebra/4")]))
    one_sentence(error)


def test_rows_are_numbered_where_the_data_name_them_not(write_rows):
    train, test = ([{k: v for k, v in row.items() if k != "unique_id"} for row in rows] for rows in (TRAIN, TEST))
    ids = {problem.problem_id for problems in load(write_rows(train, test)).values() for problem in problems}
    assert ids == {f"train/{i:05d}" for i in range(10)} | {f"test/{i:05d}" for i in range(5)}


ROWS = {"train": 10, "test": 5, "test_levels": [1, 1, 1, 1, 1]}


def test_data_with_the_expected_rows_are_read(write_rows):
    _, found = load_splits(write_rows(TRAIN, TEST), expected=ROWS)
    assert found["rows"] == ROWS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": 12000}, ["train: found 10, expected 12000"]),
        ({"test": 500}, ["test: found 5, expected 500"]),
        ({"test_levels": [2, 0, 1, 1, 1]}, ["test_levels: found [1, 1, 1, 1, 1], expected [2, 0, 1, 1, 1]"]),
        ({"train": 9, "test": 6}, ["train: found 10, expected 9", "test: found 5, expected 6"]),
    ],
)
def test_data_with_other_rows_than_expected_are_refused_with_the_way_out(write_rows, changes, said):
    with pytest.raises(ValueError) as error:
        load(write_rows(TRAIN, TEST), expected=ROWS | changes)
    sentence = one_sentence(error)
    assert [words for words in [*said, "`expected`", "null"] if words not in sentence] == []


def test_a_missing_file_an_unknown_kind_and_too_large_a_hold_out_are_refused(write_rows, tmp_path):
    source = write_rows(TRAIN, TEST)
    with pytest.raises(ValueError, match=r"none.jsonl: no such file; it is named as test_file"):
        load(source | {"test_file": str(tmp_path / "none.jsonl")})
    (tmp_path / "rows.xml").write_text("")
    with pytest.raises(ValueError, match=r"rows.xml: wanted a .jsonl, .json, .csv or .parquet file"):
        load(source | {"train_file": str(tmp_path / "rows.xml")})
    with pytest.raises(ValueError, match="validation split of 10 problems was asked for, the training data has 10"):
        load(source, validation_size=10)


@pytest.mark.skipif(not (MATH / "train.jsonl").is_file(), reason=f"needs MATH as {MATH.name}/train.jsonl, test.jsonl")
def test_the_real_math_rows_are_read_whole():
    source = {"train_file": str(MATH / "train.jsonl"), "test_file": str(MATH / "test.jsonl")}
    expected = yaml.safe_load((REPO / "config" / "paper.yaml").read_text())["data"]["math"]["expected"]
    # The 4,500 rows are a part of the 12,000; the test split is whole.
    splits, found = load_splits(source, validation_size=200, seed=1, expected=expected | {"train": 4500})
    assert found == {
        "rows": expected | {"train": 4500},
        "repeats": {"train_in_test": 0, "within_train": 0, "within_test": 0},
    }
    assert {name: len(problems) for name, problems in splits.items()} == {
        "validation": 200,
        "train": 4300,
        "test": 500,
    }
    assert sum(problem.level <= 3 for problem in splits["test"]) == sum(expected["test_levels"][:3]) == 238
    ids = [problem.problem_id for problems in splits.values() for problem in problems]
    assert len(set(ids)) == 5000
    assert all(problem.prompt.startswith("Problem:\n") for problem in splits["train"])
    rows = {row["unique_id"]: row for row in map(json.loads, open(MATH / "test.jsonl"))}
    assert all(problem.answer == rows[problem.problem_id]["answer"] for problem in splits["test"])
    with pytest.raises(ValueError, match="train: found 4500, expected 12000"):
        load(source, validation_size=200, expected=expected)
    # The same problems in the same order as ever, so that runs on MATH stay what they were.
    digests = {
        split: hashlib.sha256(json.dumps([dataclasses.astuple(problem) for problem in problems]).encode()).hexdigest()
        for split, problems in splits.items()
    }
    assert digests == {
        "validation": "4dec479cf8ee2edd7f2e35e957ae2e554ed54603ba5d5d5704975075f5edf57b",
        "train": "4a8ee38a40472cd0c4d9f454ad6741163b0a9ab17e082be9d424aef2a0f3695b",
        "test": "e81d66d2d612fb73032dd3b15bf0d4a21b22dca21a7110daa282fd7fd6627b2b",
    }
