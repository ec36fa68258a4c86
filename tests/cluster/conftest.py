"""A real Slurm on this machine: one node, daemons and their files in a folder of their own, nothing of the system's.

Needs Debian's slurm-wlm and munge (and for accounting slurmdbd and mariadb-server), no rights beyond the user's own.
"""

import contextlib
import functools
import getpass
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "pipeline"))  # where its conftest finds what it imports

from pipeline.conftest import copy_working_files, write_seconds_preset  # noqa: E402

os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian puts the daemons
SLURM = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
DATABASE = ("slurmdbd", "mariadbd", "mariadb-install-db")
HOST = platform.node().split(".")[0]  # as Slurm looks itself up
GONE = ("SLURM_", "SBATCH_", "SRUN_")  # of a Slurm that these tests run under

SLURM_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/linux
GresTypes=gpu
MpiDefault=none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=5,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
RebootProgram=/bin/true
KillWait=5
MinJobAge={min_job_age}
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=200000 Gres=gpu:1 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
"""
SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[2]}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[3]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


def free_ports(n):
    """Ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until(condition, seconds=120, what="a condition"):
    """The first true value that the condition gives."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return value


class Slurm:
    """The daemons, and what a test does to them."""

    def __init__(self, folder, min_job_age=300, accounting=False):
        self.folder, self.accounting, self.node = folder, accounting, HOST
        self.processes = {}
        for name in ("state", "spool", "database"):
            (folder / name).mkdir()
        self.ports = free_ports(4)
        values = {"folder": folder, "ports": self.ports, "host": HOST, "user": getpass.getuser()}
        values |= {"min_job_age": min_job_age}
        values["accounting"] = ACCOUNTING.format(port=self.ports[2], folder=folder) if accounting else ""
        self.write("slurm.conf", SLURM_CONF.format(**values))
        self.write("gres.conf", f"NodeName={HOST} Name=gpu File=/dev/null\n")
        self.write("cgroup.conf", "CgroupAutomount=no\n")
        self.write("slurmdbd.conf", SLURMDBD_CONF.format(**values))
        self.write("munge.key", secrets.token_hex(512))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(GONE)}
        self.environment |= {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        # The plugin takes SLURM_CONF away from srun, which then looks into /etc/slurm.
        (folder / "bin").mkdir()
        self.write(
            "bin/srun", f"#!/bin/sh\nSLURM_CONF='{folder}/slurm.conf' exec {shutil.which('srun')} \"$@\"\n", 0o755
        )

    def write(self, name, text, mode=0o600):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(mode)

    def start(self):
        f = self.folder
        names = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid"}
        names |= {"log-file": "munge.log", "seed-file": "munge.seed"}
        self.launch("munged", "--foreground", "--force", *(f"--{key}={f / name}" for key, name in names.items()))
        wait_until((f / "munge.socket").exists, what="munged")
        if self.accounting:
            self.start_database()
        self.start_controller()
        self.start_node()
        wait_until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), what="an idle node")

    def start_database(self):
        data = self.folder / "database"
        of_database = [f"--datadir={data}", f"--user={getpass.getuser()}"]
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", *of_database],
            check=True,
            capture_output=True,
        )
        sock = self.folder / "mariadb.socket"
        where = [f"--socket={sock}", f"--port={self.ports[3]}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
        sizes = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900"]
        self.launch("mariadbd", "--no-defaults", *of_database, *where, *sizes)
        sql = "CREATE USER slurm@'%' IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO slurm@'%';"
        client = ["mariadb", "--no-defaults", f"--socket={sock}", "--user=root", f"--execute={sql}"]
        wait_until(lambda: subprocess.run(client, capture_output=True).returncode == 0, what="MariaDB")
        self.launch("slurmdbd", "-D")
        wait_until(lambda: self.answers("sacctmgr", "show", "cluster"), what="slurmdbd")
        self.ask("sacctmgr", "--immediate", "add", "cluster", "tests")

    def start_controller(self):
        self.launch("slurmctld", "-D", "-f", self.environment["SLURM_CONF"])
        wait_until(lambda: self.answers("sinfo"), what="slurmctld")

    def start_node(self):
        self.launch("slurmd", "-D", "-f", self.environment["SLURM_CONF"])

    def launch(self, name, *arguments):
        with open(self.folder / f"{name}.output", "ab") as output:
            self.processes[name] = subprocess.Popen(
                [name, *arguments], env=self.environment, stdout=output, stderr=output, start_new_session=True
            )

    def end(self, name, how=signal.SIGTERM):
        """End one of the daemons."""
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self):
        with contextlib.suppress(OSError, subprocess.SubprocessError, AssertionError):
            subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=self.environment, timeout=20)
            wait_until(lambda: not self.jobs(), seconds=30)
        for name in ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged"):
            if name in self.processes:
                self.end(name)

    def ask(self, *command):
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=60).returncode == 0

    def power_cut(self, *processes):
        """The node dies with all that runs on it."""
        self.end("slurmd", signal.SIGKILL)
        self.ask("scontrol", "update", f"NodeName={self.node}", "State=DOWN", "Reason=test")
        for process in processes:
            os.kill(process, signal.SIGKILL)

    def power_back(self, job):
        """The node comes back and takes jobs; first of all one that it ran before, for which Slurm would wait."""
        self.start_node()
        wait_until(lambda: not self.runs_on_the_node(job), what="the end of what is left of the job")
        # By ReturnToService it may have come back by itself.
        if "down" in self.ask("sinfo", "--noheader", "--format=%T"):
            self.ask("scontrol", "update", f"NodeName={self.node}", "State=RESUME")
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")

    def clear(self):
        """No job is left for the next test."""
        self.ask("scancel", f"--user={getpass.getuser()}")
        wait_until(lambda: not self.jobs(), what="the end of all jobs")

    def runs_on_the_node(self, job):
        """Whether a step of a job is there, by the sockets that steps listen on."""
        return bool(list((self.folder / "spool").glob(f"{self.node}_{job}.*")))

    def jobs(self, *states):
        """The numbers of the jobs that are not over, or of those in some states."""
        of_states = [f"--states={','.join(states)}"] if states else []
        return self.ask("squeue", "--noheader", "--format=%i", *of_states).split()


def started(tmp_path_factory, **how):
    wanted = SLURM + (DATABASE if how.get("accounting") else ())
    missing = [name for name in wanted if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge (slurmdbd mariadb-server)")
    slurm = Slurm(tmp_path_factory.mktemp("slurm"), **how)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm without accounting, where `sacct` is installed."""
    yield from started(tmp_path_factory)


@pytest.fixture(scope="module")
def forgetful_slurm(tmp_path_factory):
    """A Slurm without accounting that forgets a job two seconds after its end."""
    yield from started(tmp_path_factory, min_job_age=2)


@pytest.fixture(scope="module")
def slurm_with_accounting(tmp_path_factory):
    yield from started(tmp_path_factory, accounting=True)


PATIENCE = 900  # seconds that a run may take on a busy machine
RUN = "math_sft_pass/pass_n4/seed1"
ROOT = "results/seconds"


class OnSlurm:
    """A copy of the repository whose preset `seconds` runs on a Slurm, a job per run."""

    def __init__(self, repository, slurm=None):
        self.repository, self.slurm, self.running = repository, slurm, None

    def __truediv__(self, path):
        return self.repository / path

    def start(self, *targets, options=(), **environment):
        """Start `snakemake --profile slurm`, which looks after its jobs every second or so."""
        quick = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
        with pytest.MonkeyPatch.context() as patch:
            for name in set(os.environ) - set(self.slurm.environment):
                patch.delenv(name)
            for name, value in (self.slurm.environment | environment).items():
                patch.setenv(name, value)
            options = ["--profile", "slurm", *quick, *options]
            self.running = self.repository.start(*targets, preset="seconds", options=options)
            return self.running

    def try_to_run(self, *targets, **how):
        """Run on Slurm: exit code, and all that was printed."""
        return self.start(*targets, **how).finish(PATIENCE)

    def run(self, *targets, **how):
        """Run on Slurm, which must succeed: all that was printed."""
        code, output = self.try_to_run(*targets, **how)
        assert code == 0, output
        return output

    def unlock(self):
        self.repository.run(preset="seconds", options=["--unlock"])

    def log(self, rule, run=RUN):
        """The log of a job so far."""
        file = self / f"{ROOT}/logs/{rule}/{run}.log"
        return file.read_text() if file.exists() else ""

    def controllers_log(self):
        """What the last Snakemake said so far."""
        logs = sorted((self / ".snakemake/log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return logs[-1].read_text()

    def manifest(self, rule, run=RUN):
        recipe, objective, seed = run.split("/")
        return self.repository.manifest(rule, f"{recipe}_{objective}_{seed.removeprefix('seed')}")

    def outputs(self, rule, run=RUN):
        """Path and hash of what a job made, by its manifest."""
        return {entry["path"]: entry["sha256"] for entry in self.manifest(rule, run)["outputs"]}

    def checkpoints(self):
        """The whole checkpoints that lie there."""
        return list((self / f"{ROOT}/checkpoints").glob("*/*/checkpoint-*/whole.json"))

    def trainer(self):
        """The process number of the job that trains now."""
        (lease,) = (self / f"{ROOT}/checkpoints").glob("train_sft*.lease")
        return json.loads(lease.read_text())["pid"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Problems, base model and warm-up of the preset `seconds` with one job per run, made without Slurm."""
    repository = copy_working_files(tmp_path_factory.mktemp("prepared") / "repository")
    write_seconds_preset(repository)
    content = repository.config("seconds")
    content |= {"seeds": [1], "seeds_in_one_job": False}
    content["experiments"] = {"math_sft_pass": content["experiments"]["math_sft_pass"]}
    repository.write_config("seconds", content)
    repository.change_recipe(epochs=25)  # 200 steps, a checkpoint every 5
    repository.run(f"{ROOT}/models/math_sft_pass/warmup/seed1", preset="seconds")
    return repository


@pytest.fixture(scope="session")
def undisturbed(prepared, tmp_path_factory):
    """Function: the hashes of what a run's training, sampling and grading make without Slurm and where nothing goes
    wrong; its ``folder`` has the files. They are made beside the first test, and waited for when they are asked for."""
    whole = OnSlurm(prepared.copy(tmp_path_factory.mktemp("undisturbed") / "repository"))
    running = whole.repository.start(f"{ROOT}/scores/{RUN}.parquet", preset="seconds")
    end = functools.cache(lambda: running.finish(PATIENCE))

    def hashes(rule):
        code, output = end()
        assert code == 0, output
        return whole.outputs(rule)

    hashes.folder = whole
    yield hashes
    running.kill_jobs()


@pytest.fixture
def on(prepared, tmp_path):
    """Function: a copy of what is prepared, on a Slurm."""
    used = []

    def make(slurm):
        used.append(OnSlurm(prepared.copy(tmp_path / "repository"), slurm))
        return used[-1]

    yield make
    for cluster in used:
        if cluster.running is not None:
            cluster.running.kill_jobs()
        cluster.slurm.clear()
