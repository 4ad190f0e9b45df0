"""Executes one notebook: papermill in a process that ends with everything it started when its runner is gone.

It is started as a script, `python -P worker.py <arguments of papermill>`, and imports nothing of this package.
"""

import os
import resource
import runpy
import sys
import threading
import time
from pathlib import Path

import psutil

POLL_SECONDS = 0.5
# Optional imports of papermill's readers and of nbformat's checker: a second and 80 MB for each notebook, used by none.
NOT_NEEDED = ("rfc3987_syntax", "pyarrow", "pyarrow.fs")
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


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


def _tell_peak() -> None:
    """Leave the most memory of the kernel and of this process (bytes) in a file; the runner may look too rarely.

    Linux passes the memory of whoever starts a process on to its `ru_maxrss`: this one's own is read elsewhere.
    """
    kernel = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * RSS_UNIT
    place = Path(os.environ["RECUTILS_OUT"]) / ".ipython" / "peak"
    place.write_text(str(kernel + psutil.Process().memory_info().rss))


def _execute() -> None:
    """papermill with the arguments of this process. The kernel is ended at once: one full of models takes seconds."""
    sys.modules.update(dict.fromkeys(NOT_NEEDED))  # None stands for "not installed"
    from nbclient import NotebookClient

    NotebookClient.shutdown_kernel.default_value = "immediate"
    runpy.run_module("papermill", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    threading.Thread(target=_end_with_runner, args=(int(os.environ["RECUTILS_RUNNER"]),), daemon=True).start()
    try:
        _execute()
    finally:
        _tell_peak()
