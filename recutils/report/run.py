"""Runs a plan: what is ready starts, side by side as memory allows; what is stored is taken from there.

How one notebook is started and measured stands in process.py, what a run writes in ledger.py and page.py.
"""

import shutil
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from recutils.report import extras, page, process, results, store
from recutils.report.keys import Keys, changed_parts
from recutils.report.ledger import Ledger
from recutils.report.plan import Plan
from recutils.report.process import End, Execution
from recutils.report.project import Project
from recutils.report.state import State
from recutils.runs import write_text
from recutils.tables import Problem

MOST_TRIES = 2  # starts of a notebook whose kernel dies before the first cell
TICK_SECONDS = 0.2
NOT_SELECTED = "not selected, and no unchanged result is stored"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runner:
    """One run of a plan. `run` returns the exit code: 0, 1 when something failed, 130 when stopped."""

    ledger: Ledger

    def __init__(self, project: Project, plan: Plan, *, jobs: int = 2, force: bool = False) -> None:
        """Check what can be checked before anything starts. Raises Problem, as for data not in the catalogue."""
        self.project, self.plan, self.jobs, self.force = project, plan, jobs, force
        self.keys = Keys(project)
        self.data = {name: value for job in plan.jobs for name, value in self.keys.data(job).items()}
        self.states = {job.name: State(job) for job in plan.jobs}
        self.executions: dict[str, Execution] = {}
        self.budget = min(plan.profile.memory_gb, psutil.virtual_memory().total / 1e9)
        self.stopped = ""
        for state in self.states.values():
            self._leave_out(state)

    def _leave_out(self, state: State) -> None:
        """What a profile skips or a missing extra prevents is no failure."""
        extra = state.job.notebook.declared.get("extra")
        if state.job.skipped:
            state.settle(End("not run", f"the profile leaves it out: {state.job.skipped}"), fails=False)
        elif extra and not extras.installed(self.project, extra):
            state.settle(End("not run", f"it needs an extra: make extra-{extra}"), fails=False)

    def run(self) -> int:
        """Run the plan under the lock; no process is left behind. Raises Problem when the disk fails."""
        with store.lock(self.project):
            before = {number: signal.signal(number, self._stop) for number in SIGNALS}
            try:
                self._begin()
                while not all(state.over for state in self.states.values()) and not self.stopped:
                    self._turn()
                return self._end()
            except OSError as fault:
                raise Problem(f"the report could not be written: {fault}. Free space or correct the rights.") from fault
            finally:
                for execution in self.executions.values():
                    execution.kill()
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = signal.Signals(number).name

    def _begin(self) -> None:
        store.clean(self.project)
        folder = store.new_run(self.project, self.plan.profile.name)
        self.ledger = Ledger(self.plan, self.states, folder, self.jobs)
        for state in self.states.values():
            before = store.latest(self.project, state.job.name) or {}
            same = before.get("profile") == self.plan.profile.name
            state.expected = float(before["seconds"]) if same else 60 * state.job.notebook.minutes
        self.ledger.begin(self.project, self.data)
        store.point_latest(self.project, folder)

    def _turn(self) -> None:
        """Settle what ended, settle or start what is ready, and rest when nothing happened."""
        ended = self._watch()
        moved = self._advance()
        self.ledger.tick(self.executions)
        if not ended and not moved:
            time.sleep(TICK_SECONDS)

    def _advance(self) -> bool:
        """Settle or start what no longer waits for others. True when something changed."""
        ready, settled = [], False
        for state in self.states.values():
            needs = [self.states[name] for name in state.job.upstream if name in self.states]
            if state.status == "waiting" and all(need.over for need in needs):
                settled = self._block(state, needs) or self._from_store(state, needs) or settled
                ready += [] if state.over else [state]
        ready.sort(key=lambda state: (-state.expected, state.job.name))
        started = [self._start(state) for state in ready if self._fits(state)]
        return settled or bool(started)

    def _block(self, state: State, needs: list[State]) -> bool:
        """A notebook whose needs were not met is not run; one that runs even so is not blocked."""
        if state.job.notebook.declared.get("even_if_failed"):
            return False
        named = state.job.notebook.after
        lacking = [need for need in needs if need.status != "ok" and (need.fails or need.job.name in named)]
        if lacking and state.job.only_stored:
            state.settle(End("not run", NOT_SELECTED), fails=False)
        elif lacking:
            how = "failed" if lacking[0].status == "failed" else "was not run"
            end = End("not run", f"needs {lacking[0].job.name}, which {how}")
            self._settle(state, end, fails=any(need.fails for need in lacking))
        return bool(lacking)

    def _from_store(self, state: State, needs: list[State]) -> bool:
        """Take an unchanged notebook from the store. True when it is settled."""
        if state.key:  # looked up before; it waits for memory or its turn
            return False
        state.parts = self.keys.parts(state.job, {need.job.name: need.outputs or need.status for need in needs})
        state.key = store.key_of(state.parts)
        done = None if self.force else store.find(self.project, state.job.name, state.key)
        if done:
            origin = self.project.store / state.job.name / state.key
            if done.get("page") != page.version():
                self._render(state, origin, End("ok"))
            store.touch(self.project, state.job.name, state.key)
            self._take(state, origin, done)
        elif state.job.only_stored:
            state.settle(End("not run", NOT_SELECTED), fails=False)
        return state.over

    def _fits(self, state: State) -> bool:
        """May it start beside those that run? One that is alone always may."""
        if not self.executions:
            return True
        if state.job.alone or any(execution.job.alone for execution in self.executions.values()):
            return False
        used = sum(execution.job.memory_gb for execution in self.executions.values())
        return len(self.executions) < self.jobs and used + state.job.memory_gb <= self.budget

    def _start(self, state: State) -> State:
        before = store.latest(self.project, state.job.name)
        why = changed_parts(before["parts"], state.parts) if before else ""
        if state.job.notebook.needs_all:
            self.ledger.write("running")
        folder = store.fresh_folder(self.project, state.job.name)
        self.executions[state.job.name] = process.start(self.project, state.job, folder, self.ledger.folder)
        state.status = "running"
        self.ledger.say(f"  start    {state.job.name}" + (f"  (changed: {why})" if why else ""))
        return state

    def _watch(self) -> bool:
        """Measure the running notebooks and settle those that ended. True when one ended."""
        ends = {name: execution.poll() for name, execution in self.executions.items()}
        for name, end in ends.items():
            if end:
                self._finish(self.states[name], self.executions.pop(name), end)
        return any(ends.values())

    def _finish(self, state: State, execution: Execution, end: End) -> None:
        """Store a finished notebook, or show what there is of one that did not finish."""
        state.seconds, state.peak_mb = round(execution.seconds, 1), round(execution.peak / 1e6)
        folder = execution.folder
        try:
            if state.tries < MOST_TRIES - 1 and process.stillborn(state.job, folder, end):
                state.status, state.tries = "waiting", state.tries + 1
                self.ledger.say(f"  again    {state.job.name}  (its kernel died before the first cell)")
            elif end.status == "ok":
                self._render(state, folder, end)
                self._take(state, *self._keep(state, folder))
            else:
                self._show_partial(state, folder, end)
        except (OSError, Problem) as fault:
            cure = "Free space on the disk, or correct what the notebook writes."
            self._settle(state, End("failed", f"its results could not be kept: {fault}", cure))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, state: State, folder: Path) -> tuple[Path, dict[str, Any]]:
        """Move results into the store, unless their sources changed meanwhile: then they belong to no key."""
        done = {
            "key": state.key,
            "parts": state.parts,
            "seconds": state.seconds,
            "peak_mb": state.peak_mb,
            "profile": self.plan.profile.name,
            "outputs": store.outputs_hash(folder, state.job.name),
            "page": page.version(),
        }
        results.read_records(folder)  # a damaged list must not reach the store
        if Keys(self.project).parts(state.job, state.parts["upstream"]) != state.parts:
            self.ledger.say(f"  note     {state.job.name}: modules or data changed while it ran; shown, not stored")
            return folder, done
        return store.keep(self.project, state.job.name, folder, done), done

    def _take(self, state: State, origin: Path, done: dict[str, Any]) -> None:
        """A stored or just finished result becomes part of this run."""
        state.cached = state.status == "waiting"
        state.seconds, state.peak_mb, state.outputs = done["seconds"], done["peak_mb"], done["outputs"]
        state.records, state.costs = results.read_records(origin), results.read_costs(origin)
        store.lay_out(origin, self.ledger.folder / state.job.name)
        self._settle(state, End("ok"))

    def _show_partial(self, state: State, folder: Path, end: End) -> None:
        """The report of a notebook that did not finish: what was written, with the reason on top, and no records."""
        notebook = folder / f"{state.job.name}.ipynb"
        if page.read(notebook) is None:  # killed before or while it was written
            notebook.write_text(state.job.notebook.text, encoding="utf-8")
        for name in ("records.json", "cost.json"):
            (folder / name).unlink(missing_ok=True)
        self._render(state, folder, end)
        store.lay_out(folder, self.ledger.folder / state.job.name)
        self._settle(state, end)

    def _render(self, state: State, folder: Path, end: End) -> None:
        name = state.job.name
        again = self.plan.command(name)
        path = folder / f"{name}.ipynb"
        html = page.render(path, self.project.notebooks, end.status, end.message, end.cure, again=again)
        write_text(folder / f"{name}.html", html)

    def _settle(self, state: State, end: End, *, fails: bool | None = None) -> None:
        state.settle(end, fails=fails)
        self.ledger.say_settled(state)

    def _end(self) -> int:
        """Stop what still runs, close the account and return the exit code."""
        again = "Run the same command again: what is finished is kept."
        for name in list(self.executions):
            self.executions[name].kill()
            end = End("interrupted", f"stopped by {self.stopped}", again)
            self._finish(self.states[name], self.executions.pop(name), end)
        for state in self.states.values():
            if not state.over:
                state.settle(End("interrupted", "it had not started", again), fails=False)
        failed = any(state.fails for state in self.states.values())
        self.ledger.close("interrupted" if self.stopped else "failed" if failed else "ok")
        return 130 if self.stopped else 1 if failed else 0
