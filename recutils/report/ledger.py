"""What a run writes and says: metrics.json, run.json, the index, progress, closing words. It starts nothing."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from recutils.report import index, results
from recutils.report.plan import Plan
from recutils.report.process import Execution
from recutils.report.progress import Progress, span
from recutils.report.project import Project
from recutils.report.state import State, describe
from recutils.runs import write_text

WRITE_SECONDS = 1.0  # files are written at most so often while notebooks run


@dataclass
class Ledger:
    """The account of one run in its folder. peak: most memory seen so far, bytes."""

    plan: Plan
    states: dict[str, State]
    folder: Path
    jobs: int
    info: dict[str, Any] = field(default_factory=dict)
    peak: int = 0
    behind: bool = False
    _began: float = field(default_factory=time.monotonic)
    _written: float = -WRITE_SECONDS

    def __post_init__(self) -> None:
        """Open the log."""
        self.progress = Progress(self.folder / "log.txt")

    def begin(self, project: Project, data: dict[str, str]) -> None:
        """Note the circumstances and say what will run. data: hash of each data set by name."""
        profile = self.plan.profile
        self.info = {
            "id": self.folder.name,
            "profile": profile.name,
            "for": profile.purpose,
            "only": self.plan.only,
            "changed": self.plan.changed,
            "readme": list(profile.readme),
            "jobs": self.jobs,
            "started": time.strftime("%Y-%m-%d %H:%M:%S"),
            **results.circumstances(project),
            "data": data,
        }
        self.write("running")
        commit = (self.info["commit"] or "no commit")[:10] + (", with changes" if self.info["dirty"] else "")
        self.say(f"{self.folder.name}: {len(self.states)} notebooks, profile {profile.name}, commit {commit}")

    def say(self, text: str) -> None:
        """One event for the person and the log."""
        self.behind = True
        self.progress.event(text)

    def say_settled(self, state: State) -> None:
        """How a notebook ended."""
        parts = [f"  {state.status:8} {state.job.name}"]
        if state.cached:
            parts.append("unchanged")
        elif state.seconds is not None:
            parts.append(f"{span(state.seconds)}, {state.peak_mb or 0:,.0f} MB")
        self.say("  ".join([*parts, *filter(None, [state.message])]))

    def tick(self, executions: dict[str, Execution]) -> None:
        """Measure the memory in use, write what is due and show how things stand."""
        memory = psutil.Process().memory_info().rss + sum(execution.memory for execution in executions.values())
        self.peak = max(self.peak, memory)
        if self.behind and time.monotonic() - self._written >= WRITE_SECONDS:
            self.write("running")
        done = sum(state.over for state in self.states.values())
        running = ", ".join(f"{name} {span(execution.seconds)}" for name, execution in executions.items())
        self.progress.tick(
            f"{done}/{len(self.states)} done · {running or 'waiting'} · about {span(self._remaining(executions))} left"
        )

    def _remaining(self, executions: dict[str, Execution]) -> float:
        """Estimated seconds: the work shared among the jobs, and not less than the longest single one."""
        left = [
            max(state.expected - (executions[name].seconds if name in executions else 0), 1.0)
            for name, state in self.states.items()
            if not state.over
        ]
        return max(sum(left) / self.jobs, max(left, default=0.0))

    def write(self, status: str) -> None:
        """Write metrics.json, run.json and the index as things stand.

        While it runs, metrics.json leaves out notebooks that read all the others', so that each of them reads the same.
        """
        self.behind, self._written = False, time.monotonic()
        states = [self.states[name] for name in sorted(self.states)]
        shown = [state for state in states if status != "running" or not state.job.notebook.needs_all]
        records = results.write_metrics(self.folder, [record for state in shown for record in state.records])
        self.info |= {
            "status": status,
            "seconds": round(time.monotonic() - self._began, 1),
            "peak_mb": round(self.peak / 1e6),
            "notebooks": [describe(state) for state in states],
        }
        results.write_run(self.folder, self.info)
        pages = {name for name in self.states if (self.folder / name / f"{name}.html").is_file()}
        write_text(self.folder / "index.html", index.render(self.info, records, pages))

    def close(self, status: str) -> None:
        """Write all for the last time and say what came out and where it is."""
        self.write(status)
        states = [self.states[name] for name in sorted(self.states)]
        ok, stored = sum(state.status == "ok" for state in states), sum(state.cached for state in states)
        took = f"{span(self.info['seconds'])}, peak memory {self.info['peak_mb']:,} MB"
        self.say(f"{status}: {ok} of {len(states)} notebooks ok ({stored} unchanged) in {took}")
        for state in states:
            if state.status != "ok":
                self.say(f"  {state.status}: {state.job.name}: {state.message}")
                if state.cure:
                    self.say(f"    cure: {state.cure}")
        self.say(f"index: {os.path.relpath(self.folder / 'index.html')}")
