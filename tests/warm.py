"""`python -m snakemake` and other modules in a process of their own whose libraries are loaded already.

Of the five seconds that `python -m snakemake --dry-run` takes, three go into importing Snakemake, its plugins and
torch. Here a server imports them once, and nothing of this repository, and each call is a fork of it: arguments,
folder, environment, output and exit code are those of the command.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache


def run(module, arguments, folder, environment, seconds=300):
    """Run `python -m <module> <arguments>` to its end: exit code, and all that it printed."""
    request = {"module": module, "arguments": arguments, "folder": str(folder), "environment": environment}
    with tempfile.NamedTemporaryFile("r") as output:
        asked = server()
        asked.stdin.write(json.dumps(request | {"output": output.name, "seconds": seconds}) + "\n")
        asked.stdin.flush()
        code = int(asked.stdout.readline())
        printed = output.read()
    assert code != -signal.SIGKILL, f"{module} {arguments} took more than {seconds} s:\n{printed}"
    return code, printed


@cache
def server():
    """One for each of pytest's processes; it ends with its standard input."""
    command = [sys.executable, "-P", __file__]  # not beside this file: nothing of the tests is imported
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serve():
    import docutils.core  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pydantic  # noqa: F401
    import snakemake.cli
    import snakemake.report  # noqa: F401
    import snakemake_executor_plugin_slurm  # noqa: F401
    import torch  # noqa: F401

    snakemake.cli.get_argument_parser()  # which looks for plugins
    gc.freeze()  # a fork shares what is loaded, unless it is looked through for garbage
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request)
        print(end_of(pid, request["seconds"]), flush=True)


def become(request):
    """In the fork: the command, which leads a process group together with its jobs."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(request["output"], os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.path[:0] = [request["folder"], *request["environment"]["PYTHONPATH"].split(os.pathsep)]
    sys.argv[1:] = request["arguments"]
    code = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what is loaded need not be taken apart


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


if __name__ == "__main__":
    serve()
