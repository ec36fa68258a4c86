"""What the controller makes of Slurm's answers, and that the plugin still needs to be corrected."""

import asyncio
import os
import stat
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin

from compute_aligned.planning import slurm
from compute_aligned.planning.slurm import UNKNOWN, SlurmExecutor, accounting_answers, end_of

PATIENCE = 60


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "STAGE_OUT"]
)
@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_job_that_slurm_has_goes_on(state, has_manifest):
    assert end_of(state, has_manifest, 1e6, PATIENCE) is None


@pytest.mark.parametrize("state", ["CANCELLED", "TIMEOUT", "FAILED", "OUT_OF_MEMORY", "DEADLINE", "REVOKED"])
def test_a_failed_job_has_failed_at_once_whatever_it_wrote(state):
    for has_manifest in (True, False):
        assert end_of(state, has_manifest, 0, PATIENCE)


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL"])
def test_what_slurm_queues_again_has_failed_only_when_it_is_not_queued_again(state):
    assert end_of(state, False, PATIENCE - 1, PATIENCE) is None
    assert end_of(state, False, PATIENCE, PATIENCE)


@pytest.mark.parametrize("state", ["COMPLETED", UNKNOWN])
def test_nothing_is_a_success_without_a_manifest_and_nothing_is_waited_for_for_ever(state):
    assert end_of(state, True, 0, PATIENCE) == ""
    assert end_of(state, False, PATIENCE - 1, PATIENCE) is None
    assert "no manifest" in end_of(state, False, PATIENCE, PATIENCE)


# --- what programs say ---


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Function: put a program into reach that prints a text and ends with a code; there are no others."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name, text="", code=0):
        (tmp_path / "said").mkdir(exist_ok=True)
        (tmp_path / "said" / name).write_text(text)
        file = tmp_path / name
        file.write_text(
            f"#!/bin/bash\nwhile IFS= read -r l; do echo \"$l\"; done <'{tmp_path}/said/{name}'\nexit {code}\n"
        )
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return write


def test_accounting_answers_only_where_sacct_is_there_and_ends_well(programs):
    assert not accounting_answers()
    programs("sacct", "Slurm accounting storage is disabled\n", 1)
    assert not accounting_answers()
    programs("sacct", "")
    assert accounting_answers()


class Limiter:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *arguments):
        return False


def executor(cls, tmp_path, status_command="sacct", latency_wait=0):
    """An executor without workflow and daemon: what it reports is kept in `.done` and `.failed`."""
    made = object.__new__(cls)
    settings = SimpleNamespace(
        status_command=status_command,
        init_seconds_before_status_checks=40,
        status_attempts=2,
        keep_successful_logs=True,
        requeue=True,
    )
    made.workflow = SimpleNamespace(
        executor_settings=settings, execution_settings=SimpleNamespace(latency_wait=latency_wait)
    )
    made.logger = SimpleNamespace(**{name: lambda *a, **k: None for name in ("info", "debug", "warning", "error")})
    made.status_rate_limiter, made.run_uuid = Limiter(), "run"
    made._next_seconds_between_status_checks = 40
    made._status_query_calls = made._status_query_failures = 0
    made._status_query_total_seconds = made._status_query_max_seconds = 0.0
    made._status_query_min_seconds, made._status_query_cycle_rows = None, []
    made._preemption_warning, made._failed_nodes = False, set()
    made._unfinished, made._manifests_before, made._said, made._status_command = {}, {}, {}, None
    made.done, made.failed = [], {}
    made.report_job_success = lambda job: made.done.append(job.external_jobid)
    made.report_job_error = lambda job, msg, **kw: made.failed.update({job.external_jobid: msg})
    return made


class Job:
    """A job of rule `grade`, submitted under a number."""

    def __init__(self, tmp_path, number):
        self.log, self.wildcards = [str(tmp_path / "results/logs/grade/a.log")], ["a", str(number)]
        self.rule, self.external_jobid, self.job = SimpleNamespace(name="grade"), str(number), self
        self.aux, self.is_script = {"slurm_logfile": tmp_path / "slurm.log"}, True

    def write_manifest(self, tmp_path):
        file = tmp_path / f"results/provenance/grade/a_{self.external_jobid}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        return file


def look(made, jobs):
    """Numbers of the jobs that still go on after a look at them."""

    async def gathered():
        return [job.external_jobid async for job in made.check_active_jobs(jobs)]

    return asyncio.run(gathered())


def submitted(tmp_path, made, *numbers):
    jobs = [Job(tmp_path, number) for number in numbers]
    made._manifests_before |= dict.fromkeys(jobs)
    return jobs


def test_a_look_tells_apart_what_is_done_failed_and_goes_on(programs, tmp_path):
    programs("sacct", "1|COMPLETED\n2|CANCELLED by 1000\n3|RUNNING\n5|NODE_FAIL\n6|COMPLETED\n")
    programs("squeue", "3|RUNNING\n4|PENDING\n5|PENDING\n")
    made = executor(SlurmExecutor, tmp_path)
    jobs = submitted(tmp_path, made, 1, 2, 3, 4, 5, 6, 7)
    jobs[0].write_manifest(tmp_path)
    assert look(made, jobs) == ["3", "4", "5"]
    assert made.done == ["1"]
    assert {number: message.split(": ")[1] for number, message in made.failed.items()} == {
        "2": "it was cancelled. ",
        "6": "it ended without an error, but no manifest says that it made its outputs. ",
        "7": "Slurm knows nothing of it any more, and no manifest says that it was done. ",
    }


def test_an_older_manifest_is_no_sign_of_a_job(programs, tmp_path):
    programs("squeue", "1|COMPLETED\n")
    made = executor(SlurmExecutor, tmp_path, "squeue")
    (job,) = submitted(tmp_path, made, 1)
    manifest = job.write_manifest(tmp_path)
    made._manifests_before[job] = manifest.stat().st_mtime_ns
    assert look(made, [job]) == [] and made.failed
    os.utime(manifest)
    made.failed.clear()
    assert look(made, [job]) == [] and made.done == ["1"]


def test_jobs_that_slurm_is_silent_about_are_kept(programs, tmp_path):
    programs("sacct", "", 1)
    programs("squeue", "slurm_load_jobs error: Unable to contact slurm controller\n", 1)
    made = executor(SlurmExecutor, tmp_path, "squeue")
    jobs = submitted(tmp_path, made, 1, 2)
    assert look(made, jobs) == ["1", "2"] and not made.failed


def test_nothing_is_asked_and_said_before_there_is_a_job(programs, tmp_path):
    """The looks begin while the executor is being made, which chooses whom to ask and says so: it was said twice."""
    made, said = executor(SlurmExecutor, tmp_path, "sacct"), []
    made.logger.info = said.append
    assert look(made, []) == [] and not said
    made.get_status_command()
    made.get_status_command()
    assert said == ["What became of a job is asked of `squeue`, since `sacct` does not answer: no accounting here."]


def test_the_plugin_still_has_the_faults_for_which_it_is_corrected(programs, tmp_path, monkeypatch):
    """When one of these fails with a newer plugin, the correction that it is for can go."""
    programs("which", "/usr/bin/sacct\n")
    programs("scontrol", "", 1)
    programs("sacct", "1|CANCELLED by 1000\n2|UNKNOWN\n")
    programs("squeue", "")
    made = executor(plugin.Executor, tmp_path)
    jobs = [Job(tmp_path, number) for number in (1, 2, 3)]
    assert look(made, jobs) == ["1", "3"]  # waited for for ever: no known end; not known to Slurm
    assert made.done == ["2"]  # success
    programs("sacct", "Slurm accounting storage is disabled\n", 1)
    assert look(made, jobs) == []  # forgotten: neither asked about again nor reported
    assert (made.done, made.failed) == (["2"], {})
    assert plugin._get_status_command_default.__code__.co_names.count("is_query_tool_available") == 1


# --- submitting ---


def refusal(text):
    return f"SLURM sbatch failed. The error message was '{text}'.\n    sbatch call:\n        sbatch --limit\n"


def submitting(monkeypatch):
    made = object.__new__(SlurmExecutor)
    made._refusals, made._stopping = slurm.Counter(), slurm.threading.Event()
    made.submitted, made.told, made.said = [], [], []
    made.logger = SimpleNamespace(warning=made.said.append)
    monkeypatch.setattr(slurm, "WAITS", (0, 0))
    monkeypatch.setattr(SlurmExecutor, "run_job", lambda self, job: made.submitted.append(job))
    monkeypatch.setattr(plugin.Executor, "_report_job_error_threadsafe", lambda self, job, msg: made.told.append(msg))
    return made


def test_a_refusal_that_may_pass_is_tried_again_for_a_while(monkeypatch):
    made, job = submitting(monkeypatch), SimpleNamespace(rule=SimpleNamespace(name="grade"))
    job = SimpleNamespace(job=Hashable(job.rule))
    busy = refusal("sbatch: error: Unable to contact slurm controller (connect failure)")
    for _ in range(3):
        made._report_job_error_threadsafe(job, busy)
    assert len(made.submitted) == 2
    assert made.told == [
        "sbatch refused this job: sbatch: error: Unable to contact slurm controller (connect failure). "
    ]


class Hashable:
    def __init__(self, rule):
        self.rule = rule


@pytest.mark.parametrize(
    "text", ["sbatch: error: invalid partition specified: x", "Invalid account or account/partition"]
)
def test_a_refusal_that_stays_is_said_at_once_without_the_call(monkeypatch, text):
    made = submitting(monkeypatch)
    made._report_job_error_threadsafe(SimpleNamespace(job=Hashable(None)), refusal(text))
    assert made.told == [f"sbatch refused this job: {text}. "] and not made.submitted


def test_a_jobs_own_sentence_is_found_in_slurms_log(tmp_path):
    log = tmp_path / "7.log"
    assert slurm._own_words("grade", log) == ""
    log.write_text(
        "rule grade:\n    log: a.log\n\ngrade: OSError: [Errno 28] No space left on device\n(no traceback)\n"
    )
    assert slurm._own_words("grade", log) == "It said: OSError: [Errno 28] No space left on device. "
    assert slurm._own_words("sample", log) == ""
