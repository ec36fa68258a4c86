"""One writer per job: a lease beside the checkpoints, safe on a network disk.

Two jobs can be asked for the same files: the controller of a run was killed, its job lives on, and a second controller
starts the job again. The lease lets the first finish, and the second wait for it.

A lease is a file with its holder's record. Its name comes into being with its content, by ``link`` of a finished file,
which exactly one of several processes can do, on NFS too. What a holder that died left is never overwritten or renamed:
whoever judges the holder with id u dead claims the *successor's* name, which holds u. Ids are random and never used
again. So the files form a chain from the first name on, and the holder is the last of it.

Why two observers cannot both take over. Both judged u dead and claim u's one successor: ``link`` gives it to one, the
other looks again and finds the winner. An observer that comes late, when u's chain has ended and a new one begun, can
still create that name, but then it is not in the chain, which each claimant walks before it counts as holder.

Why a holder that was judged dead and lives does no harm. Before it writes it shows a heartbeat, and *then* looks
whether it is the last of the chain; a claimant claims, and *then* looks whether the heartbeat is still the one it
judged by, and withdraws if not. In whatever order these four happen, one of the two sees the other. After a look that
found it the holder has as long as silence is borne, ``STALE`` seconds, until another could rightly think it dead; a
process that stands still for longer between its look and the end of its writing is beyond what a lease can prevent.

Death is judged without comparing the clocks of two hosts: on the same machine by whether the process is there, with
the start time it gave; elsewhere by a heartbeat that stood still for ``STALE`` seconds of the observer's own monotonic
clock.

A holder releases by claiming its own successor's name, so that nobody can take over meanwhile, and then removes the
chain, its first name first.
"""

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

BEAT = 10.0  # seconds between heartbeats
STALE = 180.0  # seconds of silence after which a holder on another machine counts as dead; NFS shows changes within 60
POLL = 1.0  # seconds between looks at another's lease
FIELDS = {"id", "machine", "host", "pid", "process_start", "slurm_job_id", "started", "beat"}
RECORD_BYTES = 1024  # of one length, so that a heartbeat overwrites the record in place, on a full disk too


class LeaseLost(ValueError):
    """Another job took this one for dead and took over."""


class Lease:
    """The right to write what a job makes.

    Args:
        path: the lease's first name.
        beat: seconds between heartbeats.
        stale: seconds of silence after which a holder on another machine counts as dead.
        poll: seconds between looks at another's lease.
    """

    def __init__(self, path: Path, beat: float = BEAT, stale: float = STALE, poll: float = POLL):
        self.path, self.beat, self.stale, self.poll = path, beat, stale, poll
        self._record: dict = {}
        self._file: int | None = None
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._finished: list[Path] = []

    @contextlib.contextmanager
    def held(self, say: Callable[[str], None]) -> Iterator[bool]:
        """Hold the lease; waits as long as another process does. Yields whether nobody held it before.

        When the block ends without an error, the folders named to ``remove_when_done`` are removed.

        Args:
            say: told in one line for whom it waits, and whom it takes over from.
        """
        alone = self._acquire(say)
        heart = threading.Thread(target=self._keep_beating, daemon=True)
        heart.start()
        try:
            yield alone
            for folder in self._finished:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            self._stopped.set()
            heart.join()
            with contextlib.suppress(OSError):  # what stays is the lease of a process that is gone
                self._release()

    def remove_when_done(self, folder: str) -> None:
        """Have a folder of checkpoints or shards removed once all that came of it is written."""
        self._finished.append(Path(folder).parent)  # named by a hash of this run alone: checkpoints.work_folder

    def check(self) -> None:
        """Make sure that the lease is still this process', before something is written.

        Raises:
            LeaseLost: it is not.
        """
        self._show_life()
        chain = self._chain()
        if not chain:
            raise LeaseLost(f"{self.path}: the lease of this job was removed; nothing more is written")
        holder = chain[-1][1]
        if holder["id"] != self._record["id"]:
            raise LeaseLost(
                f"{self.path}: the lease of this job, which showed no life for {self.stale:g} seconds, was taken over "
                f"by {_described(holder)}; nothing more is written"
            )

    # --- taking and releasing ---

    def _acquire(self, say: Callable[[str], None]) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        alone, watched, since, announced = True, None, 0.0, None
        while True:
            chain = self._chain()
            if not chain:
                if self._claim(self.path):
                    return alone
                continue
            alone, holder = False, chain[-1][1]
            if (holder["id"], holder["beat"]) != watched:
                watched, since = (holder["id"], holder["beat"]), time.monotonic()
            if self._is_dead(holder, time.monotonic() - since):
                if self._claim(self._successor(holder), holder):
                    say(f"takes over from {_described(holder)}, which is gone")
                    return alone
            elif announced != holder["id"]:
                announced = holder["id"]
                say(f"waits for {_described(holder)}, which makes the same files (lease: {self.path})")
            time.sleep(self.poll)

    def _is_dead(self, holder: dict, silent: float) -> bool:
        lives = still_runs(holder)
        return silent >= self.stale if lives is None else not lives

    def _claim(self, path: Path, dead: dict | None = None) -> bool:
        """Try to become the last of the chain by a name, after a holder judged dead; whether this process is it."""
        record = _own_record()
        temporary = self.path.with_name(f"{self.path.name}.{record['id']}")
        file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        won = False
        try:
            _write(file, record)
            # FileNotFoundError: a holder that released its lease swept away what lay beside it.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(temporary, path)
            chain = self._chain()
            won = bool(chain) and chain[-1][1]["id"] == record["id"]
            if won and dead is not None:
                before = chain[-2][1]
                won = (before["id"], before["beat"]) == (dead["id"], dead["beat"])
            if not won and (_read(path) or {}).get("id") == record["id"]:
                path.unlink(missing_ok=True)
        finally:
            temporary.unlink(missing_ok=True)
            if not won:
                os.close(file)
        if won:
            with self._writing:
                if self._file is not None:
                    os.close(self._file)
                self._record, self._file = record, file
        return won

    def _release(self) -> None:
        # Listed before the lease is free: after that a name may be the next holder's.
        beside = [path for path in self.path.parent.iterdir() if path.name.startswith(self.path.name)]
        last = self._successor(self._record)
        if self._claim(last):  # if not, another took over, and the chain is the other's
            self.path.unlink(missing_ok=True)
            for path in {*beside, last} - {self.path}:
                path.unlink(missing_ok=True)
        os.close(self._file)

    # --- the chain ---

    def _successor(self, holder: dict) -> Path:
        return self.path.with_name(f"{self.path.name}-after-{holder['id']}")

    def _chain(self) -> list[tuple[Path, dict]]:
        """Names and records from the first holder to the last; empty when the lease is free."""
        chain, path = [], self.path
        while (record := _read(path)) is not None:
            chain.append((path, record))
            path = self._successor(record)
        return chain

    # --- the heartbeat ---

    def _keep_beating(self) -> None:
        while not self._stopped.wait(self.beat):
            with contextlib.suppress(OSError):  # a disk that does not answer now; check() asks it before each writing
                self._show_life()

    def _show_life(self) -> None:
        with self._writing:
            self._record["beat"] += 1
            _write(self._file, self._record)


def lease_of(snakemake) -> Lease:
    """The lease of a job: one for all that would write its outputs, whatever their code, settings and inputs."""
    name = "_".join([snakemake.rule, *snakemake.wildcards]).replace("/", "_")
    return Lease(Path(snakemake.params.checkpoints) / f"{name}.lease")


def this_machine() -> str | None:
    """What two processes share that see each other's process numbers; None where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def still_runs(record: dict) -> bool | None:
    """Whether the process of a record runs; None where this machine cannot tell."""
    if record["machine"] is None or record["machine"] != this_machine():
        return None
    try:
        os.kill(record["pid"], 0)
        return _process_start(record["pid"]) == record["process_start"]
    except ProcessLookupError:
        return False
    except OSError:  # another user's, which the system may hide
        return None


def _process_start(pid: int) -> str | None:
    """When a process of this machine was started, in ticks since the boot; None if it ended and was not buried."""
    # proc(5): after the name in parentheses, the state is the 1st field and the start time the 20th.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _own_record() -> dict:
    machine = this_machine()
    return {
        "id": uuid.uuid4().hex,
        "machine": machine,
        "host": platform.node(),
        "pid": os.getpid(),
        "process_start": None if machine is None else _process_start(os.getpid()),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "beat": 0,
    }


def _described(record: dict) -> str:
    slurm = "" if record["slurm_job_id"] is None else f", Slurm job {record['slurm_job_id']}"
    return f"process {record['pid']} on {record['host']}{slurm}, started {record['started']}"


def _write(file: int, record: dict) -> None:
    os.pwrite(file, json.dumps(record).encode().ljust(RECORD_BYTES), 0)
    os.fsync(file)  # NFS: other hosts see it


def _read(path: Path) -> dict | None:
    """The record by a name; None if there is none. What a power cut left of one stands for a holder without a name."""
    for _ in range(3):  # one being overwritten is whole a moment later
        try:
            content = path.read_bytes()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return None
            raise
        with contextlib.suppress(ValueError):
            record = json.loads(content)
            if isinstance(record, dict) and set(record) == FIELDS:
                return record
        time.sleep(0.05)
    unknown = dict.fromkeys(FIELDS, "unknown") | {"machine": None, "slurm_job_id": None}
    return unknown | {"id": hashlib.sha256(content).hexdigest()}
