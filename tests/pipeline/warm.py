"""Snakemake in a process of its own whose libraries are loaded already.

Of the five seconds that `python -m snakemake --dry-run` takes, three go into importing Snakemake, its plugins and
torch. Here a server imports them once, and nothing of this repository, and each call is a fork of it: arguments,
folder, environment, standard output and exit code are those of the command.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache


class Server:
    """Asked by a line of JSON, it answers with the exit code as a line."""

    def __init__(self):
        # Not within a copy of the repository, whose package it must not import.
        command = [sys.executable, "-P", __file__]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, arguments, folder, environment, seconds):
        """Run snakemake to its end: exit code, and all that it printed."""
        request = {"arguments": arguments, "folder": str(folder), "environment": environment, "seconds": seconds}
        with tempfile.NamedTemporaryFile("r") as output:
            self.process.stdin.write(json.dumps(request | {"output": output.name}) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            printed = output.read()
        assert code != -signal.SIGKILL, f"snakemake {arguments} took more than {seconds} s:\n{printed}"
        return code, printed


server = cache(Server)  # one for each of pytest's processes; it ends with its standard input


def become_snakemake(request):
    """In the fork: `python -m snakemake`, which leads a process group together with its jobs."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(request["output"], os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.path[:0] = [request["folder"], *request["environment"]["PYTHONPATH"].split(os.pathsep)]
    sys.argv = ["snakemake", *request["arguments"]]
    from snakemake.cli import main

    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code)  # what is loaded need not be taken apart


def end_of(pid, seconds):
    """Exit code of a process, which is killed with its group when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -signal.SIGKILL
        time.sleep(0.01)


def serve():
    import docutils.core  # noqa: F401
    import pydantic  # noqa: F401
    import snakemake.cli
    import snakemake.report  # noqa: F401
    import snakemake_executor_plugin_slurm  # noqa: F401
    import torch  # noqa: F401

    snakemake.cli.get_argument_parser()  # which looks for plugins
    assert not any(name.startswith("compute_aligned") for name in sys.modules)
    gc.freeze()  # a fork shares it, unless it is looked through for garbage
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become_snakemake(request)
        print(end_of(pid, request["seconds"]), flush=True)


if __name__ == "__main__":
    serve()
