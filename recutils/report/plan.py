"""Turns a profile, a filter and parameters into an ordered list of jobs, or refuses them. Nothing is executed here."""

import ast
import fnmatch
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml

from recutils.report.notebooks import Notebook, Parameter, discover
from recutils.report.project import Project, did_you_mean
from recutils.report.results import IDENTITY
from recutils.tables import Problem

PROFILE_KEYS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "for": (str,),
    "time_limit_minutes": (int, float),
    "memory_gb": (int, float),
    "side_by_side": (bool,),
    "defaults": (dict, type(None)),
    "notebooks": (dict, type(None)),
    "skip": (dict, type(None)),
    "readme": (list, type(None)),
}


@dataclass(frozen=True)
class Profile:
    """How much of everything a run does: parameters, limits, and what it leaves out and why.

    side_by_side: notebooks that time things share the machine with others like the rest; their times then say little.
    """

    name: str
    purpose: str = ""
    time_limit_minutes: float = 30.0
    memory_gb: float = 8.0
    side_by_side: bool = False
    defaults: dict[str, Any] = field(default_factory=dict)
    notebooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    skip: dict[str, str] = field(default_factory=dict)
    readme: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Job:
    """One notebook with its parameters and limits. only_stored: take it from the store or leave it out.

    alone: it times things, so nothing else runs meanwhile.
    """

    notebook: Notebook
    given: dict[str, Any]
    limit_seconds: float
    memory_gb: float
    upstream: tuple[str, ...] = ()
    skipped: str = ""
    only_stored: bool = False
    alone: bool = False

    @property
    def name(self) -> str:
        """The notebook's name."""
        return self.notebook.name

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters with the values of this job."""
        return {name: self.given.get(name, parameter.default) for name, parameter in self.notebook.parameters.items()}


@dataclass(frozen=True)
class Plan:
    """The jobs in an order in which each follows what it needs."""

    profile: Profile
    jobs: tuple[Job, ...]
    only: str = ""
    changed: dict[str, str] = field(default_factory=dict)

    def command(self, name: str) -> str:
        """What makes one of these notebooks again, with the profile and the parameters of this plan."""
        if self.changed:
            given = "".join(f" --param {shlex.quote(f'{key}={value}')}" for key, value in self.changed.items())
            return f"python -m recutils report --profile {self.profile.name} --only {name}{given}"
        return f"make report ONLY={name}" + ("" if self.profile.name == "standard" else f" PROFILE={self.profile.name}")


def read_profile(project: Project, name: str) -> Profile:
    """A profile of reports/profiles. Raises Problem for an unknown profile, key or type."""
    known = {path.stem: path for path in project.profiles.glob("*.yml")}
    if name not in known:
        raise Problem(f"unknown profile {name!r}. {did_you_mean(name, known)}")
    try:
        content = yaml.safe_load(known[name].read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as fault:
        raise Problem(f"{known[name]} is not YAML: {fault}. Correct it.") from fault
    if not isinstance(content, dict):
        raise Problem(
            f"{known[name].name} must hold keys and values; got {type(content).__name__}. See reports/README.md."
        )
    for key, value in content.items():
        if key not in PROFILE_KEYS:
            raise Problem(f"{known[name].name}: unknown key {key!r}. {did_you_mean(str(key), PROFILE_KEYS)}")
        if not isinstance(value, PROFILE_KEYS[key]) or (isinstance(value, bool) and bool not in PROFILE_KEYS[key]):
            raise Problem(
                f"{known[name].name}: {key} must be {PROFILE_KEYS[key][0].__name__}; got {value!r}. Correct it."
            )
    if content.get("name", name) != name:
        raise Problem(
            f"{known[name].name}: name is {content['name']!r}; it must be {name!r}, as the file is called. Correct it."
        )
    for chosen in content.get("readme") or ():
        if not isinstance(chosen, dict) or not set(chosen) <= set(IDENTITY):
            raise Problem(f"{known[name].name}: readme: {chosen!r} must name fields of records: {', '.join(IDENTITY)}.")
    given = {key: value for key, value in content.items() if value is not None and key != "for"}
    return Profile(
        **(given | {"name": name, "purpose": content.get("for", ""), "readme": tuple(content.get("readme") or ())})
    )


def parse_value(text: str, parameter: Parameter) -> Any:
    """The value that a command line's text stands for: text stays text where the parameter is a str."""
    if "str" in parameter.types:
        return text
    try:
        return ast.literal_eval({"true": "True", "false": "False", "null": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def parse_parameters(pairs: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE texts of the command line. Raises Problem when one has no "="."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise Problem(f"--param {pair!r}: expected NAME=VALUE, such as TOP_K=5. Correct it.")
        found[name] = value
    return found


def _known(names: Iterable[str], notebooks: dict[str, Notebook], where: str) -> None:
    for name in names:
        if name not in notebooks:
            raise Problem(f"{where}: unknown notebook {name!r}. {did_you_mean(name, notebooks)}")


def _somewhere(name: str, notebooks: Iterable[Notebook], where: str) -> None:
    known = {parameter for notebook in notebooks for parameter in notebook.parameters}
    if name not in known:
        raise Problem(f"{where}: no notebook has a parameter {name!r}. {did_you_mean(name, known)}")


def _given(notebook: Notebook, profile: Profile, extra: dict[str, str]) -> dict[str, Any]:
    """Parameters that differ from the notebook's defaults: the profile's, its own entry's, the command line's."""
    where = f"profile {profile.name}, {notebook.name}"
    own = notebook.parameters
    values = {name: value for name, value in profile.defaults.items() if name in own}
    for name, value in (profile.notebooks.get(notebook.name) or {}).items():
        if name not in own:
            raise Problem(f"{where}: unknown parameter {name!r}. {did_you_mean(name, own)}")
        values[name] = value
    values |= {name: parse_value(text, own[name]) for name, text in extra.items() if name in own}
    checked = {name: own[name].checked(value, where) for name, value in values.items()}
    return {name: value for name, value in checked.items() if repr(value) != repr(own[name].default)}


def _upstream(notebook: Notebook, notebooks: dict[str, Notebook]) -> tuple[str, ...]:
    """Names that must come before: those declared, and with "*" all notebooks that do not say "*" themselves."""
    named = [name for name in notebook.after if name != "*"]
    _known(named, notebooks, f"{notebook.name} (metadata recutils.after)")
    every = [name for name, other in notebooks.items() if not other.needs_all] if notebook.needs_all else []
    return tuple(dict.fromkeys([*named, *every]))


def _order(upstream: dict[str, tuple[str, ...]]) -> list[str]:
    """Names so that each follows what it needs; by name where there is a choice. Raises Problem on a cycle."""
    sorter = TopologicalSorter({name: sorted(before) for name, before in sorted(upstream.items())})
    try:
        sorter.prepare()
    except CycleError as fault:
        raise Problem(
            f"notebooks wait for each other: {' -> '.join(fault.args[1])}. Take one out of metadata recutils.after."
        ) from fault
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return ordered


def _with_needs(names: Iterable[str], notebooks: dict[str, Notebook]) -> set[str]:
    """The names and, again and again, what they need by name."""
    chosen, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += [before for before in notebooks[name].after if before != "*"]
    return chosen


def _matching(only: str, notebooks: dict[str, Notebook]) -> set[str]:
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()] or ["*"]
    matches = {pattern: fnmatch.filter(notebooks, pattern.removesuffix(".ipynb")) for pattern in patterns}
    for pattern, found in matches.items():
        if not found:
            raise Problem(f"--only {pattern!r} matches no notebook. {did_you_mean(pattern.strip('*'), notebooks)}")
    return {name for found in matches.values() for name in found}


def _jobs(project: Project, profile: Profile, only: str, extra: dict[str, str]) -> list[Job]:
    notebooks = discover(project)
    where = f"profile {profile.name}"
    wanted = [one["notebook"] for one in profile.readme if "notebook" in one]
    shown = [name for names in wanted for name in (names if isinstance(names, list) else [names])]
    _known([*profile.notebooks, *profile.skip, *shown], notebooks, where)
    asked = _matching(only, notebooks)
    for name in profile.defaults:
        _somewhere(name, notebooks.values(), f"{where}, defaults")
    for name in extra:
        _somewhere(name, [notebooks[chosen] for chosen in asked], "--param")
    upstream = {name: _upstream(notebook, notebooks) for name, notebook in notebooks.items()}
    order = _order(upstream)
    run = _with_needs(asked, notebooks)
    stored = {before for name in run if notebooks[name].needs_all for before in upstream[name]} - run
    return [
        Job(
            notebook=notebooks[name],
            given=_given(notebooks[name], profile, extra if name in asked else {}),
            limit_seconds=60 * float(notebooks[name].declared.get("time_limit_minutes", profile.time_limit_minutes)),
            memory_gb=notebooks[name].memory_gb,
            alone=bool(notebooks[name].declared.get("alone")) and not profile.side_by_side,
            upstream=upstream[name],
            skipped=profile.skip.get(name, ""),
            only_stored=name in stored,
        )
        for name in order
        if name in run | stored
    ]


def make_plan(project: Project, profile: str = "standard", *, only: str = "", pairs: Sequence[str] = ()) -> Plan:
    """The jobs of a profile.

    only: glob patterns, separated by commas; what the matching notebooks need by name is added.
    pairs: NAME=VALUE texts, for those of the matching notebooks that have this parameter.
    Raises Problem for anything unknown, mistyped, circular or too large for the profile's memory.
    """
    chosen, changed = read_profile(project, profile), parse_parameters(pairs)
    jobs = _jobs(project, chosen, only, changed)
    for job in jobs:
        if job.memory_gb > chosen.memory_gb and not job.skipped:
            raise Problem(
                f"{job.name} declares {job.memory_gb:g} GB, the profile {profile} allows {chosen.memory_gb:g} GB. "
                f"Skip it in reports/profiles/{profile}.yml or raise memory_gb there."
            )
    return Plan(chosen, tuple(jobs), only, changed)
