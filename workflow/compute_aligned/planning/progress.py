"""What a run says of its jobs as they end: which it was, the share of the time that is done, and what is left."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from ..presentation.wording import counted
from ..provenance.published import PUBLISHED, published_manifests
from ..provenance.runs import seeds_of

REPLACED = ("job_finished", "progress", "job_started")  # Snakemake's own lines, of which the names are its LogEvent's
SELECTING = "Select jobs to execute..."


@dataclass(frozen=True)
class Times:
    """Seconds that jobs took in a reference.

    Attributes:
        of_job: by rule and wildcards; of a job that makes runs, per seed.
        of_rule: their mean by rule.
    """

    of_job: Mapping[tuple, float]
    of_rule: Mapping[str, float]

    def seconds(self, rule: str, wildcards: Mapping[str, str], outputs: Iterable[str]) -> float:
        """What a job is expected to take; 0 of a rule that no reference knows."""
        each = self.of_job.get((rule, _but_seed(wildcards)), self.of_rule.get(rule, 0.0))
        return each * max(1, len(seeds_of(outputs)))


def reference_times(reference: Path) -> Times | None:
    """The times of a reference's jobs; None where there is no reference to read."""
    if not (reference / PUBLISHED).is_file():
        return None
    try:
        jobs = {id(job): job for job in published_manifests(reference).values()}.values()
        of_job: dict[tuple, list[float]] = {}
        for job in jobs:
            took = datetime.fromisoformat(job["ended"]) - datetime.fromisoformat(job["started"])
            seeds = seeds_of(entry["path"] for entry in job["outputs"])
            key = job["rule"], _but_seed(job["wildcards"])
            of_job.setdefault(key, []).append(took.total_seconds() / max(1, len(seeds)))
    except (ValueError, KeyError):  # of another version; nothing but this estimate needs it
        return None
    means = {key: sum(each) / len(each) for key, each in of_job.items()}
    rules: dict[str, list[float]] = {}
    for (rule, _), mean in means.items():
        rules.setdefault(rule, []).append(mean)
    return Times(means, {rule: sum(each) / len(each) for rule, each in rules.items()})


def _but_seed(wildcards: Mapping[str, str]) -> str:
    return json.dumps({key: str(value) for key, value in sorted(wildcards.items()) if key not in ("seed", "seeds")})


class Progress(logging.Handler):
    """A line per finished job, and in a terminal a bar below; it listens to Snakemake's log.

    Args:
        jobs: id of each job that is to run -> what it is, in words, and the seconds that it is expected to take.
        known: whether the seconds are known; else jobs are counted.
        clock: seconds that only go on.
    """

    def __init__(self, jobs: Mapping[int, tuple[str, float]], known: bool, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._jobs, self._clock, self._begun = jobs, clock, clock()
        self._known = known and sum(seconds for _, seconds in jobs.values()) > 0
        self._left = set(jobs)
        total = sum(self._weight(job) for job in jobs)
        form = "{percentage:3.0f}% |{bar}| {desc}"
        self._bar = tqdm(
            total=total, bar_format=form, leave=False, disable=None, file=sys.stderr
        )  # None: in a terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Say what ended."""
        job = getattr(record, "job_id", None)
        if getattr(record, "event", None) != "job_finished" or job not in self._left:
            return
        self._left.discard(job)
        said = self._said()
        self._bar.set_description_str(said, refresh=False)
        self._bar.update(self._weight(job))
        self._bar.write(f"[{said}] {self._jobs[job][0]}", file=sys.stderr)
        if not self._left:
            self._bar.close()

    def _weight(self, job: int) -> float:
        return self._jobs[job][1] if self._known else 1.0

    def _said(self) -> str:
        done = len(self._jobs) - len(self._left)
        jobs = f"{done} of {counted(len(self._jobs), 'job')}"
        left = sum(map(self._weight, self._left))
        total = left + sum(self._weight(job) for job in self._jobs if job not in self._left)
        share = 1 - left / total if total else 1.0
        if not self._known:
            return jobs
        # At the pace so far, on this machine and with these cores; the first jobs say too little of it.
        soon = f", about {spelt((self._clock() - self._begun) * (1 - share) / share)} left" if 0.02 < share < 1 else ""
        return f"{jobs}, {share:.0%} of the time{soon}"


def spelt(seconds: float) -> str:
    """A time to come, roughly: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def listen(logger: logging.Logger, progress: Progress, known_from: Path | None) -> None:
    """Have progress told in place of Snakemake's lines on the terminal, which name a job by its number alone.

    Args:
        logger: Snakemake's.
        progress: what tells it.
        known_from: the reference whose times are known; None if none are.
    """
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.addFilter(_is_not_replaced)
    logger.addHandler(progress)
    if known_from is None:
        logger.info("No reference of this preset says how long its jobs take: they are counted, not weighed.")
    else:
        logger.info(f"Shares of the time are those of {known_from}, whose machine was another.")


def _is_not_replaced(record: logging.LogRecord) -> bool:
    return getattr(record, "event", None) not in REPLACED and record.getMessage() != SELECTING
