"""What a run says of its jobs as they end."""

import io
import json
import logging
from types import SimpleNamespace

import pytest

from compute_aligned.planning.progress import Progress, listen, reference_times, spelt
from compute_aligned.provenance.published import PUBLISHED


def job(rule, seconds, seeds=(), **wildcards):
    """The manifest of a job of a reference."""
    outputs = [{"path": f"results/p/x/seed{seed}.parquet", "sha256": ""} for seed in seeds]
    outputs = outputs or [{"path": f"results/p/{rule}{wildcards}", "sha256": ""}]
    start, end = "2026-01-01T00:00:00+00:00", f"2026-01-01T00:00:{seconds:02}+00:00"
    return dict(rule=rule, wildcards=wildcards, params={}, inputs=[], outputs=outputs, started=start, ended=end)


@pytest.fixture
def reference(tmp_path):
    jobs = [job("train_sft", 50, seeds=range(1, 6), objective="ce"), job("measure", 4, experiment="a")]
    (tmp_path / PUBLISHED).write_text(json.dumps([*jobs, job("measure", 8, experiment="b")]))
    return tmp_path


@pytest.fixture
def terminal():
    """What Snakemake itself writes."""
    return io.StringIO()


@pytest.fixture
def logger(terminal):
    logger = logging.Logger("snakemake")
    logger.addHandler(logging.StreamHandler(terminal))
    return logger


def finish(logger, number):
    logger.info(f"Finished jobid: {number}", extra={"event": "job_finished", "job_id": number})


def test_a_job_takes_what_it_took_in_the_reference_by_its_number_of_seeds(reference):
    times = reference_times(reference)
    one, three = (["results/q/seed7.parquet"], [f"results/q/seed{seed}.parquet" for seed in (7, 8, 9)])
    assert times.seconds("train_sft", {"objective": "ce"}, three) == 30
    assert times.seconds("train_sft", {"objective": "ce", "seed": "7"}, one) == 10
    assert times.seconds("train_sft", {"objective": "pass_n3"}, one) == 10  # as the rule's others
    assert times.seconds("measure", {"experiment": "b"}, ["results/q/b.csv"]) == 8
    assert times.seconds("measure", {"experiment": "c"}, ["results/q/c.csv"]) == 6
    assert times.seconds("figure", {}, []) == 0


def test_a_finished_job_is_named_with_the_share_of_the_time_that_is_done_and_left(logger, terminal, capsys):
    now = SimpleNamespace(seconds=0.0)
    jobs = {4: ("Training a on ce, all seeds", 300.0), 5: ("Metrics of a", 100.0), 6: ("The page", 0.0)}
    listen(logger, Progress(jobs, True, lambda: now.seconds), "results/reference/tiny")
    logger.info("Execute 1 jobs...", extra={"event": "job_started"})
    now.seconds = 600.0
    finish(logger, 4)
    now.seconds = 900.0
    finish(logger, 5)
    finish(logger, 6)
    finish(logger, 7)  # of no concern
    (told,) = terminal.getvalue().splitlines()
    assert "results/reference/tiny" in told
    assert capsys.readouterr().err.splitlines() == [
        "[1 of 3 jobs, 75% of the time, about 3 min left] Training a on ce, all seeds",
        "[2 of 3 jobs, 100% of the time] Metrics of a",
        "[3 of 3 jobs, 100% of the time] The page",
    ]


def test_without_a_reference_jobs_are_counted(tmp_path, logger, capsys):
    assert reference_times(tmp_path) is None
    (tmp_path / PUBLISHED).write_text("[]")
    assert reference_times(tmp_path) is None
    listen(logger, Progress({1: ("Figure fig1", 0.0), 2: ("all", 0.0)}, False), None)
    finish(logger, 1)
    assert capsys.readouterr().err.splitlines() == ["[1 of 2 jobs] Figure fig1"]


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (700, "12 min"), (12600, "3.5 h")])
def test_a_time_to_come_is_spelt_roughly(seconds, text):
    assert spelt(seconds) == text
