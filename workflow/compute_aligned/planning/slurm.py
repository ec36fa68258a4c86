"""Slurm as the controller sees it: what became of its jobs, by Slurm's word and by the jobs' own manifests.

The plugin snakemake-executor-plugin-slurm 2.8.0 submits the jobs; here its judgement of them is replaced, since it
waits for ever where it should not, or takes for success what may be none:

- ``sacct`` is asked because it is installed, also where no accounting answers it;
- a look that fails five times, as while ``slurmctld`` restarts, drops the jobs from its list for good;
- ``CANCELLED by 1000`` is no end that it knows, and a job that left Slurm's memory is waited for;
- state UNKNOWN counts as success.

tests/unit/test_slurm.py holds these faults against the installed plugin and fails when a newer one has mended them.
"""

import asyncio
import os
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import snakemake_executor_plugin_slurm as plugin
from snakemake_executor_plugin_slurm.job_status_query import (
    query_job_status,
    query_job_status_sacct,
    query_job_status_squeue,
)
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from ..provenance.manifests import manifest_file, results_folder

# Slurm's states (man squeue, JOB STATE CODES) that end a job, and what to say of each. All others, such as PENDING,
# RUNNING, COMPLETING or SUSPENDED, go on.
FAILED = {
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "it was cancelled",
    "DEADLINE": "it could not end before its deadline",
    "FAILED": "it ended with an error, which its log tells",
    "NODE_FAIL": "its node failed, and Slurm did not queue it again",
    "OUT_OF_MEMORY": "it needed more memory than `mem_mb` of the preset's resources",
    "PREEMPTED": "another job took its place, and Slurm did not queue it again",
    "REVOKED": "another cluster took it",
    "TIMEOUT": "it reached the time limit, `runtime` of the preset's resources",
}
# After these Slurm may queue a job again a moment later, under the same number.
PASSING = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED"}
# No state at all: a job that Slurm does not know, or does not know any more.
UNKNOWN = "UNKNOWN"

# A refusal of sbatch that says one of these may be over in a while; others, such as a wrong account, stay.
PASSING_REFUSALS = (
    "contact",
    "timed out",
    "temporarily",
    "inactive",  # the partition, as before a maintenance
    "submit limit",  # of jobs per user
)
# Seconds between tries to submit a job: half an hour in all.
WAITS = (10, 30, 60, 120, 180, *[300] * 5)


def end_of(state: str, has_manifest: bool, silent: float, patience: float) -> str | None:
    """What became of a job.

    Args:
        state: Slurm's word for it, ``UNKNOWN`` where Slurm has none.
        has_manifest: whether the job has written its manifest since it was submitted, the last thing that it does.
        silent: for how long Slurm has said the same, in seconds.
        patience: how long a manifest, or a job's next state, may take to be seen.

    Returns:
        None: it goes on, or time will tell. An empty text: it is done. Else why it is not, as a clause.
    """
    if state in FAILED and (state not in PASSING or silent >= patience):
        return FAILED[state]
    if state not in ("COMPLETED", UNKNOWN):
        return None
    if has_manifest:
        return ""
    if silent < patience:
        return None
    if state == "COMPLETED":
        return "it ended without an error, but no manifest says that it made its outputs"
    return "Slurm knows nothing of it any more, and no manifest says that it was done"


def accounting_answers() -> bool:
    """Whether ``sacct`` is there and answers: on a cluster without accounting it is often installed, too."""
    try:
        return subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class SlurmExecutor(plugin.Executor):
    """The plugin's executor, with another judgement of its jobs' states, patience with refusals, and a prompt end."""

    def __init__(self, workflow, logger):
        if shutil.which("sbatch") is None:
            raise WorkflowError(
                "There is no `sbatch` here, and so no Slurm: `--profile slurm` is for the login node of a cluster. "
                "Nothing was submitted."
            )
        if "SLURM_JOB_ID" in os.environ:
            logger.warning(
                f"This runs inside Slurm job {os.environ['SLURM_JOB_ID']} and ends with it; its own jobs go on and are "
                "taken over when it is started again. A login node is the place for it."
            )
            # What the job has would be taken for wishes of its own jobs. (The plugin drops SLURM_CONF, too.)
            for name in [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"]:
                del os.environ[name]
        self._unfinished: dict[str, SubmittedJobInfo] = {}  # by Slurm's number
        self._manifests_before: dict[object, int | None] = {}  # when each job's manifest was written, at its submission
        self._said: dict[str, tuple[str, float]] = {}  # what Slurm says of a job, and since when
        self._refusals: Counter = Counter()
        self._stopping = threading.Event()
        self._status_command: str | None = None
        super().__init__(workflow, logger)

    def __post_init__(self, test_mode: bool = False) -> None:
        super().__post_init__(test_mode)
        self.get_status_command()

    # --- what became of the jobs ---

    def get_status_command(self) -> str:
        """``sacct`` where it answers, unless the user wants ``squeue``; chosen once, and said in one line."""
        if self._status_command is None:
            if self.workflow.executor_settings.status_command == "squeue":
                self._status_command, why = "squeue", "as set, or since `sacct` is not installed"
            elif accounting_answers():
                self._status_command, why = "sacct", "which answers"
            else:
                self._status_command, why = "squeue", "since `sacct` does not answer: no accounting here"
            self.logger.info(f"What became of a job is asked of `{self._status_command}`, {why}.")
        return self._status_command

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        """Report the jobs that ended; yields the others."""
        states = await self._states([job.external_jobid for job in active_jobs])
        ended = False
        for job in active_jobs:
            end = None if states is None else self._end(job, states[job.external_jobid])
            ended |= end is not None
            if end is None:
                yield job
            elif end:
                log = Path(job.aux["slurm_logfile"])
                sentence = f"Slurm job {job.external_jobid} is not done: {end}. {_own_words(job.job.rule.name, log)}"
                self.report_job_error(job, msg=sentence, aux_logs=[str(log)])
            else:
                self.report_job_success(job)
        soonest = self.workflow.executor_settings.init_seconds_before_status_checks
        later = min(self.next_seconds_between_status_checks + 10, max(180, soonest))
        self.next_seconds_between_status_checks = later if active_jobs and not ended else soonest

    async def _states(self, jobs: Sequence[str]) -> dict[str, str] | None:
        """The state of each job; None where Slurm does not answer now."""
        if not jobs:  # as while the executor is still being made, which chooses the command and says so
            return {}
        states = dict.fromkeys(jobs, UNKNOWN)
        answered = False
        # The database may lag behind, and knows a job that was queued again by its earlier end: then `squeue` is asked.
        for command in dict.fromkeys([self.get_status_command(), "squeue"]):
            open_questions = [job for job, state in states.items() if state == UNKNOWN or state in PASSING]
            if not open_questions:
                break
            query = query_job_status_sacct if command == "sacct" else query_job_status_squeue
            async with self.status_rate_limiter:
                said, _ = await query_job_status(query(self.run_uuid), self.logger)
            if said is not None:
                answered = True
                # The first word is the state: "CANCELLED by 1000".
                states |= {job: said[job].split()[0] for job in open_questions if said.get(job)}
        return states if answered else None

    def _end(self, job: SubmittedJobInfo, state: str) -> str | None:
        now = time.monotonic()
        said, since = self._said.get(job.external_jobid, ("", now))
        if said != state:
            self._said[job.external_jobid] = state, now
            since = now
        # What is no script writes no manifest; Snakemake looks for its outputs.
        has_manifest = not job.job.is_script or _written(job.job) not in (None, self._manifests_before[job.job])
        return end_of(state, has_manifest, now - since, self.workflow.execution_settings.latency_wait)

    def report_job_submission(self, job_info: SubmittedJobInfo, register_job: bool = True) -> None:
        self._unfinished[job_info.external_jobid] = job_info
        super().report_job_submission(job_info, register_job)

    def report_job_success(self, job_info: SubmittedJobInfo) -> None:
        self._unfinished.pop(job_info.external_jobid, None)
        super().report_job_success(job_info)

    def report_job_error(self, job_info: SubmittedJobInfo, msg=None, **kwargs) -> None:
        self._unfinished.pop(job_info.external_jobid, None)
        super().report_job_error(job_info, msg, **kwargs)

    async def sleep(self) -> None:
        """Wait for the next look, but no longer than there is something to look at."""
        deadline = time.monotonic() + self.next_seconds_between_status_checks
        while self.wait and time.monotonic() < deadline:
            await asyncio.sleep(0.5)

    # --- submitting and stopping ---

    def run_job(self, job) -> None:
        self._manifests_before[job] = _written(job)
        super().run_job(job)

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        """A job that could not be submitted: tried again where the refusal may pass."""
        job = job_info.job
        refusal = re.search(r"sbatch failed. The error message was '(.*?)'\.\n", msg, flags=re.DOTALL)
        if refusal is None:
            super()._report_job_error_threadsafe(job_info, msg)
            return
        said = " ".join(refusal[1].split())
        tries = self._refusals[job]
        if tries == len(WAITS) or not any(word in said.lower() for word in PASSING_REFUSALS):
            super()._report_job_error_threadsafe(job_info, f"sbatch refused this job: {said}. ")
            return
        self._refusals[job] += 1
        self.logger.warning(
            f"sbatch refused a job of rule {job.rule.name} and is asked again in {WAITS[tries]} s: {said}"
        )
        if not self._stopping.wait(WAITS[tries]):
            self.run_job(job)

    def cancel(self) -> None:
        """Cancel all jobs and end; none is submitted after this."""
        self._stopping.set()
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        super().cancel()

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel all jobs, those too that are being looked at just now, which the plugin forgets."""
        jobs = list(self._unfinished.values())
        if jobs:
            numbers = " ".join(self._unfinished)
            self.logger.info(f"Cancelling Slurm jobs {numbers}; the same command goes on from their checkpoints.")
        super().cancel_jobs(jobs)


def _own_words(rule: str, log: Path) -> str:
    """The sentence of a job that ended by itself (``provenance.job``), from Slurm's log of it.

    Snakemake shows no log behind one that is empty or missing, as a rule's own is on a full disk.
    """
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.removeprefix(f"{rule}: ") for line in lines if line.startswith(f"{rule}: ")]
    return f"It said: {said[-1]}. " if said else ""


def _written(job) -> int | None:
    """When a job's manifest was written, by the disk's clock; None without one."""
    try:
        return manifest_file(results_folder(Path(job.log[0])), job.rule.name, job.wildcards).stat().st_mtime_ns
    except FileNotFoundError:
        return None
