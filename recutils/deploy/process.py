"""Processes of this same package: their environment, one run of a module, the most memory one held. What they do stands
where they are used.
"""

import os
import subprocess
import sys
from pathlib import Path

import psutil

import recutils
from recutils.tables import Problem


def environment() -> dict[str, str]:
    """The environment for a process of this same package, wherever it was imported from."""
    home = str(Path(recutils.__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))}


def fresh(module: str, *arguments: str, seconds: float, what: str, given: str = "", cure: str = "") -> str:
    """What `python -m module arguments` wrote to its output; given: its input.

    Raises Problem ("WHAT failed: its own last words. CURE") when it fails or takes longer than `seconds`.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, check=True, env=environment(), timeout=seconds
        ).stdout
    except subprocess.SubprocessError as fault:
        told = getattr(fault, "stderr", None) or str(fault)
        last = told.decode(errors="replace") if isinstance(told, bytes) else told
        raise Problem(f"{what} failed: {last.strip()[-500:]} {cure}".strip()) from fault


def peak_mb(pid: int | None = None) -> float:
    """The most resident memory that a process held so far, MB (10^6 bytes); what it holds now where none is told.

    pid: None for this process. Unlike `runs.peak_memory_mb`, it does not begin with what the parent held: Linux passes
    the parent's peak on at a fork, but not in this figure.
    """
    status = Path(f"/proc/{pid or os.getpid()}/status")
    for line in status.read_text().splitlines() if status.is_file() else ():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return psutil.Process(pid).memory_info().rss / 1e6
