"""How one job of a run stands, and its entry in run.json. What changes it stands in run.py."""

from dataclasses import dataclass, field
from typing import Any

from recutils.report.plan import Job
from recutils.report.process import End


@dataclass
class State:
    """How one job stands: waiting, running, ok, failed, not run or interrupted. fails: does it make the run fail?"""

    job: Job
    status: str = "waiting"
    message: str = ""
    cure: str = ""
    seconds: float | None = None
    peak_mb: float | None = None
    cached: bool = False
    fails: bool = False
    parts: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    outputs: str = ""
    expected: float = 0.0
    tries: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """True when nothing more will happen to it."""
        return self.status not in ("waiting", "running")

    def settle(self, end: End, *, fails: bool | None = None) -> None:
        """Note how it ended. fails: by default only ok and interrupted do not count as failures."""
        self.status, self.message, self.cure = end.status, end.message, end.cure
        self.fails = end.status in ("failed", "not run") if fails is None else fails


def describe(state: State) -> dict[str, Any]:
    """One notebook's entry in run.json."""
    job = state.job
    return {
        "name": job.name,
        "title": job.notebook.title,
        "status": state.status,
        "message": state.message,
        "cure": state.cure,
        "fails": state.fails,
        "cached": state.cached,
        "seconds": state.seconds,
        "peak_mb": state.peak_mb,
        "costs": state.costs,
        "key": state.key,
        "parameters": job.parameters,
        "given": job.given,
        "after": list(job.notebook.after),
        "memory_gb": job.memory_gb,
        "limit_seconds": job.limit_seconds,
        "publish": list(job.notebook.declared.get("publish", [])),
    }
