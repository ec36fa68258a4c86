"""One writer per job: who waits, who takes over and when, and who stops."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from compute_aligned.provenance import lease as module
from compute_aligned.provenance.lease import Lease, LeaseLost

CONTEXT = multiprocessing.get_context("fork")


def quick(path, **changes):
    return Lease(path, **{"beat": 0.05, "stale": 0.5, "poll": 0.02} | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoints" / "train_sft_r_ce.lease"


def in_a_process(function):
    process = CONTEXT.Process(target=function)
    process.start()
    return process


@contextlib.contextmanager
def held_by_another(path, elsewhere=False, beat=0.05):
    """The lease, held by another process, on a host of another name if wanted; yields the process."""
    ready = CONTEXT.Event()

    def hold():
        if elsewhere:
            module.this_machine = lambda: "another machine"
        with quick(path, beat=beat).held(print):
            ready.set()
            time.sleep(60)

    process = in_a_process(hold)
    assert ready.wait(10)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.join()


def test_a_lease_that_nobody_holds_is_had_at_once_and_leaves_nothing(path):
    said = []
    lease = quick(path)
    with lease.held(said.append) as alone:
        assert alone
        lease.check()
        record = json.loads(path.read_text())
        assert record["pid"] == os.getpid() and record["host"] and record["process_start"] and record["started"]
    assert said == [] and list(path.parent.iterdir()) == []


def test_the_folders_named_are_removed_after_success_alone(path, tmp_path):
    for failing in (True, False):
        work = path.parent / "hash" / "r_ce_seed1"
        work.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(KeyError):
            lease = quick(path)
            with lease.held(print):
                lease.remove_when_done(str(work))
                if failing:
                    raise KeyError
        assert work.exists() == failing
    assert list(path.parent.iterdir()) == []


def test_a_heartbeat_overwrites_the_record_in_place(path):
    with quick(path).held(print):
        first, number = json.loads(path.read_text()), path.stat().st_ino
        time.sleep(0.5)
        later = json.loads(path.read_text())
        assert path.stat().st_ino == number
    assert later["beat"] > first["beat"]
    assert {key: later[key] for key in later if key != "beat"} == {key: first[key] for key in first if key != "beat"}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_second_process_waits_for_one_that_lives_and_says_for_whom(path, elsewhere):
    said = []
    with held_by_another(path, elsewhere) as first:
        waiting = threading.Thread(target=lambda: quick(path).held(said.append).__enter__(), daemon=True)
        waiting.start()
        waiting.join(1.5)  # three times what silence is borne
        assert waiting.is_alive()
        (line,) = said
        assert f"process {first.pid} on " in line and str(path) in line
        first.kill()
        first.join()
        waiting.join(5)
        assert not waiting.is_alive()
    assert said[1].startswith("takes over from ")


def test_a_holder_killed_on_this_machine_is_found_dead_at_once(path):
    with held_by_another(path) as first:
        first.kill()
        started = time.monotonic()  # not waited for: it stays a zombie until then
        with quick(path, stale=1000, beat=1000).held(print) as alone:
            assert not alone and time.monotonic() - started < 5
    assert list(path.parent.iterdir()) == []


def test_another_process_with_the_number_of_the_dead_one_is_not_it(path, monkeypatch):
    path.parent.mkdir()
    record = module._own_record() | {"process_start": "1"}
    path.write_text(json.dumps(record))
    with quick(path, stale=1000).held(print) as alone:
        assert not alone


def test_a_holder_elsewhere_is_judged_by_its_heartbeat_on_the_observers_clock(path):
    """Its own process number says nothing here, and a clock that is days wrong nothing at all."""
    path.parent.mkdir()
    for started in ("1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"):
        path.write_text(json.dumps(module._own_record() | {"machine": "another machine", "started": started}))
        began = time.monotonic()
        with quick(path).held(print) as alone:
            assert not alone
            assert 0.5 <= time.monotonic() - began < 5
        assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"id": 3}', "\0" * 1024])
def test_what_a_power_cut_left_of_a_lease_is_taken_over_after_the_silence(path, content):
    path.parent.mkdir()
    path.write_text(content)
    with quick(path).held(print) as alone:
        assert not alone
    assert list(path.parent.iterdir()) == []


def test_a_holder_that_stood_still_and_was_taken_over_stops_before_it_writes(path):
    found = CONTEXT.Queue()

    def hold():
        module.this_machine = lambda: "another machine"
        lease = quick(path)
        with contextlib.suppress(LeaseLost), lease.held(print):
            found.put("held")
            time.sleep(0.2)  # here it stands still
            while True:
                try:
                    lease.check()
                except LeaseLost as lost:
                    found.put(str(lost))
                    raise
                time.sleep(0.02)

    process = in_a_process(hold)
    assert found.get(timeout=10) == "held"
    os.kill(process.pid, signal.SIGSTOP)
    lease = quick(path)
    with lease.held(print):
        os.kill(process.pid, signal.SIGCONT)
        sentence = found.get(timeout=10)
        process.join()
        assert f"was taken over by process {os.getpid()} on " in sentence and "nothing more is written" in sentence
        lease.check()  # what the other left behind does not disturb the new holder
    assert list(path.parent.iterdir()) == []


def test_one_that_claims_from_a_holder_that_shows_life_meanwhile_withdraws(path):
    with held_by_another(path, elsewhere=True):
        judged = json.loads(path.read_text())
        time.sleep(0.3)
        claimant = quick(path)
        assert not claimant._claim(claimant._successor(judged), judged)
        assert list(path.parent.iterdir()) == [path]


def test_one_that_judged_a_holder_of_an_earlier_chain_does_not_disturb_the_present_one(path):
    path.parent.mkdir()
    gone = module._own_record() | {"id": "gone"}
    with quick(path).held(print):
        late = quick(path)
        assert not late._claim(late._successor(gone), gone)
        assert list(path.parent.iterdir()) == [path]


def test_a_lease_removed_by_hand_stops_its_holder(path):
    lease = quick(path)
    with pytest.raises(LeaseLost, match="was removed; nothing more is written"), lease.held(print):
        path.unlink()
        lease.check()


@pytest.mark.parametrize("dead", ["nobody", "here", "elsewhere"])
def test_of_many_that_want_it_one_at_a_time_has_it(path, tmp_path, dead):
    """Eight processes take turns; each looks whether another is between its own beginning and end."""
    path.parent.mkdir()
    if dead != "nobody":
        machine = module.this_machine() if dead == "here" else "another machine"
        path.write_text(json.dumps(module._own_record() | {"machine": machine, "process_start": "1"}))
    inside, turns = tmp_path / "inside", tmp_path / "turns"
    turns.write_text("")

    def take_turns():
        for turn in range(4):
            lease = quick(path, poll=0.001, stale=2)
            with contextlib.suppress(LeaseLost), lease.held(lambda line: None):
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                lease.check()
                time.sleep(0.01)
                with open(turns, "a") as file:
                    file.write(f"{os.getpid()}\n")
                inside.unlink()
                if turn == 2 and os.getpid() % 2:
                    os.kill(os.getpid(), signal.SIGKILL)  # some die while they hold it

    processes = [in_a_process(take_turns) for _ in range(8)]
    for process in processes:
        process.join(60)
    assert {process.exitcode for process in processes} <= {0, -signal.SIGKILL}
    wanted = sum(3 if process.pid % 2 else 4 for process in processes)
    assert len(turns.read_text().split()) == wanted
    with quick(path).held(print):
        pass
    assert list(path.parent.iterdir()) == []


# --- jobs ------------------------------------------------------------------------------------------------------------

JOB = """
import json, os, sys, time
from pathlib import Path
from types import SimpleNamespace

from compute_aligned.provenance.lease import Lease
from compute_aligned.provenance.job import job


class Named(list):
    def __init__(self, **items):
        super().__init__(items.values())
        self.items = items.items


steps, params, kill_at = int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
snakemake = SimpleNamespace(
    rule="train_sft",
    input=[],
    output=["results/p/models/r/ce"],
    wildcards=Named(recipe="r", objective="ce"),
    params=Named(**params),
    log=["results/p/logs/train_sft/r/ce.log"],
    threads=1,
)
lease = Lease(Path("results/p/checkpoints/train_sft_r_ce.lease"), beat=0.05, stale=1000, poll=0.02)
work = Path("results/p/checkpoints") / params["code"] / "r_ce"
with job(snakemake, lease) as facts:
    work.mkdir(parents=True, exist_ok=True)
    done = len(list(work.iterdir()))
    print(f"from step {done}")
    for step in range(done, steps):
        time.sleep(0.05)
        lease.check()
        with open("trained", "a") as file:
            file.write(f"{params['code']} {step}\\n")
        (work / str(step)).write_text("")
        if step == kill_at:
            os.kill(os.getpid(), 9)
    lease.check()
    output = Path(snakemake.output[0])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(params["code"])
    facts["pid"] = os.getpid()
    lease.remove_when_done(str(work))
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / "job.py").write_text(JOB)

    def start(steps=20, kill_at=-1, **params):
        arguments = [str(steps), json.dumps({"code": "a"} | params), str(kill_at)]
        return subprocess.Popen(
            [sys.executable, "job.py", *arguments],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def steps_trained(tmp_path, code="a"):
    return [line.split()[1] for line in (tmp_path / "trained").read_text().splitlines() if line.split()[0] == code]


def test_two_jobs_for_the_same_files_train_once_and_the_second_takes_the_result(start, tmp_path):
    first = start()
    wait_for(lambda: (tmp_path / "trained").exists())
    second = start()
    errors = [job.communicate(timeout=60)[1] for job in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert steps_trained(tmp_path) == [str(step) for step in range(20)]
    manifest = json.loads((tmp_path / "results/p/provenance/train_sft/r_ce.json").read_text())
    assert manifest["facts"]["pid"] == first.pid
    waits, takes = errors[1].splitlines()
    assert waits.startswith(f"train_sft waits for process {first.pid} on ")
    assert takes.startswith("train_sft takes what another job has made")
    log = (tmp_path / "results/p/logs/train_sft/r/ce.log").read_text()
    assert "\0" not in log and f"waits for process {first.pid}" in log and log.startswith("from step 0\n")
    assert list((tmp_path / "results/p/checkpoints").iterdir()) == []


def test_after_a_holder_was_killed_the_next_goes_on_from_what_it_left(start, tmp_path):
    assert start(kill_at=7).wait(60) == -signal.SIGKILL
    second = start()
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 0 and errors.startswith("train_sft takes over from process ")
    assert steps_trained(tmp_path) == [str(step) for step in range(20)]
    assert "from step 8\n" in (tmp_path / "results/p/logs/train_sft/r/ce.log").read_text()
    assert list((tmp_path / "results/p/checkpoints").iterdir()) == []


@pytest.mark.parametrize("how", ["other code", "changed by hand", "gone", "no manifest"])
def test_a_result_that_is_not_the_jobs_own_is_not_taken(start, tmp_path, how):
    first = start(steps=30)
    wait_for(lambda: (tmp_path / "trained").exists())
    code = "b" if how == "other code" else "a"
    os.kill(first.pid, signal.SIGSTOP)
    second = start(steps=2, code=code)
    wait_for(lambda: "waits for" in (tmp_path / "results/p/logs/train_sft/r/ce.log").read_text())
    os.kill(second.pid, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait(60) == 0
    output, manifest = tmp_path / "results/p/models/r/ce", tmp_path / "results/p/provenance/train_sft/r_ce.json"
    if how == "changed by hand":
        output.write_text("c")
    elif how == "gone":
        output.unlink()
    elif how == "no manifest":
        manifest.unlink()
    os.kill(second.pid, signal.SIGCONT)
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 0 and "takes what" not in errors, errors
    assert output.read_text() == code
    assert json.loads(manifest.read_text())["facts"]["pid"] == second.pid


def test_a_job_whose_lease_is_lost_stops_with_one_sentence_and_leaves_nothing(start, tmp_path):
    job = start(steps=1000)
    wait_for(lambda: (tmp_path / "trained").exists())
    (tmp_path / "results/p/checkpoints/train_sft_r_ce.lease").unlink()
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    sentence, where = errors.strip().splitlines()
    assert sentence.startswith(
        "train_sft: results/p/checkpoints/train_sft_r_ce.lease: the lease of this job was removed"
    )
    assert where.startswith("(traceback: ") and not (tmp_path / "results/p/models").exists()
