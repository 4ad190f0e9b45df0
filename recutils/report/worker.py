"""Executes one notebook: papermill in a process that ends with everything it started when its runner is gone.

It is started as a script, `python -P worker.py <arguments of papermill>`, and imports nothing of this package.
"""

import os
import runpy
import sys
import threading
import time

import psutil

POLL_SECONDS = 0.5
# Optional imports of papermill's readers and of nbformat's checker: a second and 80 MB for each notebook, used by none.
NOT_NEEDED = ("rfc3987_syntax", "pyarrow", "pyarrow.fs")


def _end_with_runner(runner: int) -> None:
    """Kill this process and its children as soon as the runner is no longer the parent."""
    while os.getppid() == runner:
        time.sleep(POLL_SECONDS)
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(143)


if __name__ == "__main__":
    threading.Thread(target=_end_with_runner, args=(int(os.environ["RECUTILS_RUNNER"]),), daemon=True).start()
    sys.modules.update(dict.fromkeys(NOT_NEEDED))  # None stands for "not installed"
    runpy.run_module("papermill", run_name="__main__", alter_sys=True)
