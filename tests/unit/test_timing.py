"""Where the time of a run went, from benchmark files made by hand."""

import runpy
import sys

import pytest

from compute_aligned.planning.timing import RuleTime, rule_times, timing_table

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def results(tmp_path):
    """A results folder of three rules, one of whose jobs was too short to be measured."""
    rows = {
        "train_sft/math/ce/seeds": ("60.5", "55.0"),
        "train_sft/math/warmup/seeds": ("19.5", "15.0"),
        "sample/math/ce/seeds": ("18.0", "17.5"),
        "claims": ("2.0", "NA"),
    }
    for name, (seconds, cpu) in rows.items():
        file = tmp_path / "benchmarks" / f"{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{HEADER}{seconds}\t0:01:00\t500\t600\t450\t460\t0\t1\t98.3\t{cpu}\n")
    return tmp_path


@pytest.fixture
def call(monkeypatch):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["timing", *map(str, arguments)])
        runpy.run_module("compute_aligned.planning.timing", run_name="__main__")

    return called


def test_the_jobs_of_a_rule_are_added_up_and_the_longest_rule_comes_first(results):
    assert rule_times(results) == [
        RuleTime("train_sft", 2, 80.0, 70.0, 60.5),
        RuleTime("sample", 1, 18.0, 17.5, 18.0),
        RuleTime("claims", 1, 2.0, 0.0, 2.0),
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # runpy: the module is imported already
def test_the_command_prints_a_line_per_rule_and_one_for_all(results, call, capsys):
    call(results)
    printed = capsys.readouterr().out
    assert printed == timing_table(rule_times(results)) + "\n"
    assert [line.split() for line in printed.splitlines()] == [
        ["rule", "jobs", "seconds", "CPU", "longest", "share"],
        ["train_sft", "2", "80.0", "70.0", "60.5", "80.0%"],
        ["sample", "1", "18.0", "17.5", "18.0", "18.0%"],
        ["claims", "1", "2.0", "0.0", "2.0", "2.0%"],
        ["all", "4", "100.0", "87.5", "60.5", "100.0%"],
    ]
    assert len({len(line) for line in printed.splitlines()}) == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no such folder; wanted a results folder, such as results/tiny"),
        ({}, "no benchmark file (.tsv); wanted the results folder of a run"),
        ({"claims.tsv": ""}, "claims.tsv: not a benchmark file"),
        ({"claims.tsv": "s\tcpu_time\nmany\t1\n"}, "claims.tsv: not a benchmark file"),
        ({"claims.tsv": "s\n1.0\n"}, "claims.tsv: not a benchmark file"),
        ({"claims.tsv": "s\tcpu_time\n1.0\n"}, "claims.tsv: not a benchmark file"),
    ],
)
def test_what_holds_no_times_ends_in_one_sentence_and_code_2(tmp_path, call, capsys, content, sentence):
    folder = tmp_path / "results"
    if content is not None:
        (folder / "benchmarks").mkdir(parents=True)
        for name, text in content.items():
            (folder / "benchmarks" / name).write_text(text)
    with pytest.raises(SystemExit) as ended:
        call(folder)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("timing: ") and sentence in error and error.count("\n") == 1
