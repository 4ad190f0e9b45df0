"""One notebook as a watched process: started, measured, stopped at its limits, its end in words. No scheduling here."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from recutils.report.plan import Job
from recutils.report.project import Project

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class End:
    """How a notebook ended: status ok, failed or not run; what happened and how to cure it."""

    status: str
    message: str = ""
    cure: str = ""


@dataclass
class Execution:
    """A running notebook. `poll` measures it and returns its end once it has one."""

    job: Job
    folder: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    memory: int = 0
    peak: int = 0
    stopped: End | None = None

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self.started

    def poll(self) -> End | None:
        """Sample the memory, stop the notebook at a limit; its end, or None while it runs."""
        if self.process.poll() is None:
            self.memory = resident(self.process.pid)
            self.peak = max(self.peak, self.memory)
            self.stopped = self._over_limit()
            if self.stopped is None:
                return None
            self.kill()
        self.peak = max(self.peak, told_peak(self.folder))
        return self.stopped or read_end(self.job, self.folder, self.process.returncode)

    def _over_limit(self) -> End | None:
        if self.seconds > self.job.limit_seconds:
            allowed = (
                f"{self.job.limit_seconds / 60:g} minutes"
                if self.job.limit_seconds >= 60
                else f"{self.job.limit_seconds:g} seconds"
            )
            return End(
                "failed",
                f"stopped: ran longer than {allowed} (time limit of {self.job.name})",
                "Lower its parameters, or raise time_limit_minutes in the profile or in the notebook's metadata.",
            )
        if self.memory > self.job.memory_gb * 1e9:
            return End(
                "failed",
                f"stopped: used more than {self.job.memory_gb:g} GB (memory limit of {self.job.name})",
                "Lower its parameters, or raise memory_gb in the notebook's metadata.",
            )
        return None

    def kill(self) -> None:
        """End the process and all that it started, and wait until it is gone."""
        tree = family(self.process.pid)
        for member in tree:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(tree, timeout=5)
        self.process.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; empty when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return []


def resident(pid: int) -> int:
    """Resident memory of a process and its descendants, bytes."""
    total = 0
    for member in family(pid):
        try:
            total += member.memory_info().rss
        except psutil.Error:  # it ended between the two calls
            continue
    return total


def told_peak(folder: Path) -> int:
    """The most memory that a notebook's own process saw (bytes); 0 where it could not tell, since it was killed."""
    try:
        return int((folder / ".ipython" / "peak").read_text())
    except (OSError, ValueError):
        return 0


def environment(project: Project, job: Job, folder: Path, run: Path) -> dict[str, str]:
    """Variables of a notebook's process: outputs to `folder`, this interpreter's kernel, fixed threads, no hub."""
    variables = {name: value for name, value in os.environ.items() if name not in ("JUPYTER_PATH", "RECUTILS_RUN")}
    paths = [str(project.root), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables |= {name: str(job.notebook.declared.get("threads", 1)) for name in THREAD_VARIABLES}
    variables |= {
        "RECUTILS_HOME": str(project.root),
        "RECUTILS_OUT": str(folder),
        "RECUTILS_RUNNER": str(os.getpid()),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(paths),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(folder / ".ipython"),  # no start-up files or settings of the person who runs it
    }
    return variables | ({"RECUTILS_RUN": str(run)} if job.upstream else {})


def snapshot(job: Job, folder: Path) -> Path:
    """Where the notebook's source stands while it runs, so that edits meanwhile do not mix in."""
    return folder / ".ipython" / f"{job.name}.ipynb"


def command(job: Job, folder: Path) -> list[str]:
    """papermill by this interpreter, with the kernel of the same environment; only changed parameters are passed."""
    arguments = [
        sys.executable,
        "-P",
        str(WORKER),
        job.notebook.path.name,
        str(folder / f"{job.name}.ipynb"),
        "--kernel",
        "python3",
    ]
    arguments += [
        "--execution-timeout",
        str(int(job.limit_seconds) + 60),
        "--autosave-cell-every",
        "5",
        "--no-progress-bar",
        "--log-level",
        "ERROR",
    ]
    if job.given:
        arguments += ["--parameters_yaml", yaml.safe_dump(job.given, allow_unicode=True)]
    return arguments


def start(project: Project, job: Job, folder: Path, run: Path) -> Execution:
    """Start a notebook as it was when the run was planned; its partial output appears in `folder` cell by cell."""
    (folder / ".ipython").mkdir()
    snapshot(job, folder).write_text(job.notebook.text, encoding="utf-8")
    with (folder / "notebook.log").open("wb") as log:
        process = subprocess.Popen(
            command(job, folder),
            cwd=project.notebooks,
            env=environment(project, job, folder, run),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Execution(job, folder, process)


def first_error(notebook: Any) -> tuple[str, str, str] | None:
    """Class, message and cell number of the error that ended an executed notebook, or None."""
    for cell in (notebook or {}).get("cells", []):
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                return (
                    str(output.get("ename", "")),
                    ANSI.sub("", str(output.get("evalue", ""))),
                    str(cell.get("execution_count") or "?"),
                )
    return None


def _partial(job: Job, folder: Path) -> Any:
    try:
        return json.loads((folder / f"{job.name}.ipynb").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_end(job: Job, folder: Path, code: int) -> End:
    """How a process that ended by itself ended, from its exit code, its notebook and its log."""
    notebook = _partial(job, folder)
    if code == 0 and notebook is not None:
        return End("ok")
    error = first_error(notebook)
    log = (folder / "notebook.log").read_text(encoding="utf-8", errors="replace")
    if error and error[0].rpartition(".")[2] == "NotReached":
        return End("not run", error[1], "")
    if error:
        told = error[0].rpartition(".")[2] == "Problem"  # its message holds the cure
        cure = "" if told else "The report shows where. Correct the notebook or the module and run again."
        return End("failed", f"{error[0]}: {error[1]} (cell [{error[2]}])", cure)
    if "DeadKernelError" in log or "Kernel died" in log:
        cure = f"Perhaps memory ran out or a library crashed. Lower its parameters, run it alone: --only {job.name}"
        return End("failed", "the kernel died: the notebook's process was killed from outside or crashed", cure)
    if "CellTimeoutError" in log:
        return End(
            "failed",
            f"stopped: a cell ran longer than the time limit of {job.name}",
            "Lower its parameters or raise time_limit_minutes.",
        )
    if code < 0:
        return End(
            "failed",
            f"its process was killed from outside ({signal.Signals(-code).name})",
            "Run again: finished notebooks are kept.",
        )
    return End(
        "failed",
        f"papermill ended with exit code {code}: {_last_line(log)}",
        "The log is notebook.log beside the report.",
    )


def stillborn(job: Job, folder: Path, end: End) -> bool:
    """Did the kernel die before it ran anything? Then no notebook is at fault: another program took its ports."""
    cells = (_partial(job, folder) or {}).get("cells", [])
    return end.message.startswith("the kernel died") and not any(cell.get("execution_count") for cell in cells)


def _last_line(log: str) -> str:
    lines = [line.strip() for line in ANSI.sub("", log).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
