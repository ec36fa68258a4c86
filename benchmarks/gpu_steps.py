"""Seconds and memory of preset `paper`'s steps on one GPU, at their true sizes with random weights, by our own code.

    python benchmarks/gpu_steps.py --scratch /tmp/gpu_steps --output gpu_steps.json
    python benchmarks/gpu_steps.py --scratch /tmp/tiny --output tiny.json --tiny
    python benchmarks/gpu_steps.py sft grpo --scratch /tmp/gpu_steps --output gpu_steps.json --precision bf16

Cases, each in a process of its own (gpu_steps_cases.py): `load` (the 4-bit base of 7 billion weights), `sft`, `grpo`
and `sample` of it, and `protgpt2_warmup`, `protgpt2_rl` and `protgpt2_sample`. Beside each measured peak stands what
planning/memory.py says of the same step. Nothing is fetched: models and tokenizers are stand-ins of the same sizes,
made once in the scratch folder (18 GB). Results are written as soon as they are there. `--tiny` shrinks the models, so
that all of it runs on a CPU in a minute or two.
"""

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).parents[1]
CASES = ("load", "sft", "grpo", "sample", "protgpt2_warmup", "protgpt2_rl", "protgpt2_sample")
LEAST = 15  # seconds: with fewer left no case is begun


class Worker:
    """A process for one case: it imports what it needs while another case runs, and then waits for its turn."""

    def __init__(self, case: str, options: argparse.Namespace):
        self.case = case
        self.rows_file, self.log_file = (options.scratch / f"{case}.{end}" for end in ("rows.jsonl", "log"))
        self.rows_file.unlink(missing_ok=True)
        given = {"case": case, "rows": str(self.rows_file), "scratch": str(options.scratch), "tiny": options.tiny}
        given |= {"precision": options.precision, "max_new_tokens": options.max_new_tokens}
        folders = [str(REPO / "workflow"), str(REPO / "tests" / "unit"), os.environ.get("PYTHONPATH")]
        path = os.pathsep.join(filter(None, folders))
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("gpu_steps_cases.py")), json.dumps(given)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | offline | {"PYTHONPATH": path},
            )

    def begin(self) -> None:
        try:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # it failed as it imported: its log says how
            pass

    def rows(self) -> list[dict]:
        """What it has measured up to now; a line that is not yet whole is left out."""
        if not self.rows_file.exists():
            return []
        lines = self.rows_file.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def fault(self, sentence: str) -> dict:
        """A row that says why it has failed, with the end of its log."""
        log = self.log_file.read_text(errors="replace").splitlines()[-60:]
        return {"case": self.case, "fault": sentence, "log": log}

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass


def follow(worker: Worker, seconds: float, say) -> None:
    """Let a worker run its case, for so many seconds at most; each row is told as soon as it is there."""
    started, told = time.monotonic(), 0
    worker.begin()
    while True:
        ended = worker.process.poll() is not None
        late = time.monotonic() - started > seconds
        if late:
            worker.end()
        rows = worker.rows()
        for row in rows[told:]:
            if "error" not in row:
                say(row)
        told = len(rows)
        if late and not ended:
            say(worker.fault("stopped: the budget is used up"))
            return
        if ended:
            if worker.process.returncode:
                told_by_itself = rows and "error" in rows[-1]
                reason = rows[-1]["error"] if told_by_itself else f"exit status {worker.process.returncode}"
                say(worker.fault(reason))
            return
        time.sleep(0.2)


def line(row: dict) -> str:
    """A row of results as text."""
    head = " ".join(str(row[key]) for key in ("case", "what") if key in row)
    if "fault" in row:
        return f"{head}: FAILED, {row['fault']}"
    if "note" in row and len(row) == 2 + ("what" in row):
        return f"{head}: {row['note']}"
    parts = []
    for key, value in row.items():
        if key in ("case", "what", "note") or value is None:
            continue
        if isinstance(value, list):
            value = "[" + " ".join(f"{x:.3g}" if isinstance(x, float) else str(x) for x in value) + "]"
        parts.append(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}")
    return f"{head}: " + ", ".join(parts) + (f" ({row['note']})" if "note" in row else "")


def plain(value):
    """The same without numbers that JSON lacks."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [plain(x) for x in value]
    return {key: plain(x) for key, x in value.items()} if isinstance(value, dict) else value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="of " + ", ".join(CASES) + " (default: all)")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the models, 18 GB")
    parser.add_argument("--output", type=Path, required=True, help="where the results go, as JSON")
    parser.add_argument(
        "--precision", choices=["fp16", "bf16"], help="of the 7B model (default: the preset's; without a GPU bf16)"
    )
    parser.add_argument("--max-new-tokens", type=int, default=128, help="of case `sample`; the preset has 512")
    parser.add_argument("--budget", type=float, default=540, help="seconds; later cases are left out")
    parser.add_argument("--tiny", action="store_true", help="small models, to try the script on a CPU")
    options = parser.parse_args()
    cases = options.cases or list(CASES)
    if unknown := [case for case in cases if case not in CASES]:
        parser.error(f"no case {unknown[0]}; wanted {', '.join(CASES)}")
    options.scratch = options.scratch.resolve()
    options.scratch.mkdir(parents=True, exist_ok=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # so that no worker is left behind
    start, rows = time.monotonic(), []

    def say(row: dict) -> None:
        if plain(row) in rows:  # each case describes the same device
            return
        rows.append(plain(row))
        partial = options.output.with_name(options.output.name + ".partial")
        partial.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n")
        partial.replace(options.output)
        print(line(row), flush=True)

    free = shutil.disk_usage(options.scratch).free / 2**30
    print(f"scratch folder: {free:.0f} GiB free", flush=True)
    workers = {cases[0]: Worker(cases[0], options)}
    try:
        for place, case in enumerate(cases):
            left = options.budget - (time.monotonic() - start)
            if left < LEAST:
                say({"case": case, "note": "skipped: the budget is used up"})
                continue
            for name in cases[place : place + 2]:
                if name not in workers:
                    workers[name] = Worker(name, options)
            begun = time.monotonic()
            follow(workers[case], left, say)
            now = time.monotonic()
            print(f"  {case} took {now - begun:.0f} s, {now - start:.0f} s in all", flush=True)
    finally:
        for worker in workers.values():
            worker.end()
    return int(any("fault" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
