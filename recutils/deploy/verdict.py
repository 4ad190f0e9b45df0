"""Which model suits these data and why: the rule, the sentences, the report. Nothing is measured here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recutils import runs
from recutils.evaluate.candidates import BASELINE, FLOOR, described
from recutils.evaluate.choose import Choice
from recutils.evaluate.judge import Judgement
from recutils.evaluate.statistics import compare_all
from recutils.present import interval

AUTO = "auto"
ALPHA = 0.05
FEW_USERS = 200  # below, intervals are so wide that most models cannot be told apart
RULE = (
    "The model with the highest mean nDCG on the validation part is chosen, unless the interval of its difference from "
    "popularity does not lie wholly above 0: then popularity is chosen, since it is simpler. The test part chooses "
    "nothing; it is read once, after the choice."
)


@dataclass(frozen=True)
class Figure:
    """One model's mean nDCG@k over n users, its interval, and its paired difference from popularity."""

    model: str
    setting: dict[str, Any]
    value: float
    low: float | None
    high: float | None
    delta: float | None
    delta_low: float | None
    delta_high: float | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Part:
    """What was measured on one part of a split. users: how many were judged."""

    split: str
    pretends: str
    users: int
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def of(self, model: str) -> Figure:
        """The figure of one model, which must be there."""
        return next(figure for figure in self.figures if figure.model == model)


@dataclass(frozen=True)
class Verdict:
    """The chosen model and all that speaks for and against it.

    asked: "auto" or the model that the user named. valid is None when there were too little data to compare.
    cost: model -> seconds (fit, score: the chosen setting; all: every setting tried), and "everything" in all.
    lists: counts of what was written.
    """

    dataset: str
    model: str
    setting: dict[str, Any]
    asked: str
    why: str
    k: int
    seed: int
    valid: Part | None
    test: Part | None
    left_out: dict[str, str]
    failed: dict[str, str]
    uncertain: tuple[str, ...]
    notes: tuple[str, ...]
    lists: dict[str, int] = field(default_factory=dict)
    cost: dict[str, dict[str, float]] = field(default_factory=dict)
    rule: str = RULE

    def to_json(self) -> str:
        """All fields as JSON; seconds stand under "cost" alone."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """The report for people."""
        return "\n".join(_report(self)) + "\n"

    def write(self, csv: Path) -> tuple[Path, Path]:
        """Write NAME.verdict.json and NAME.verdict.md beside NAME.csv; returns both paths."""
        places = tuple(csv.with_name(f"{csv.stem}.verdict.{ending}") for ending in ("json", "md"))
        for place, text in zip(places, (self.to_json(), self.to_markdown()), strict=True):
            runs.write_text(place, text)
        return places[0], places[1]


def figures(judgement: Judgement, settings: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, ...]:
    """The nDCG of each judged model."""
    found = []
    for model in judgement.models:
        record = judgement.find(model, "ndcg")
        paired = {name: getattr(record, name) for name in ("delta", "delta_low", "delta_high", "p", "p_holm")}
        ends = {"value": record.value, "low": record.low, "high": record.high}
        found.append(Figure(model=model, setting=dict(settings.get(model, {})), **ends, **paired))
    return tuple(found)


def decide(best: str, valid: Part, asked: str = AUTO) -> tuple[str, str]:
    """The model by RULE, or the one that was asked for; and why."""
    name = best if asked == AUTO else asked
    figure, base = valid.of(name), valid.of(BASELINE)
    better = figure.delta_low is not None and figure.delta_low > 0
    value, against = interval(figure.value, figure.low, figure.high), interval(base.value, base.low, base.high)
    if name == BASELINE:
        kind = "No model has a higher mean than popularity" if asked == AUTO else "You asked for popularity"
        return name, f"{kind} ({value})."
    compared = f"{name} has {value}, popularity {against}; the difference is {_delta(figure)}"
    if asked != AUTO:
        told = "above 0 with its whole interval" if better else "not above 0 with its whole interval"
        return name, f"You asked for {name}. {compared}, {told}."
    if better:
        return name, f"It has the highest mean, and its interval against popularity lies above 0: {compared}."
    return BASELINE, f"The best mean is not separable from popularity, which is chosen since it is simpler: {compared}."


def doubts(choice: Choice, name: str, valid: Part, test: Part | None, n_tried: int) -> tuple[str, ...]:
    """What remains uncertain about the choice of `name`, in sentences."""
    figure = valid.of(name)
    found = [f"Only {valid.users:,} users could be judged; intervals are wide."] if valid.users < FEW_USERS else []
    if name != BASELINE and figure.p_holm is not None and figure.p_holm >= ALPHA:
        family = len(valid.figures) - 1
        found.append(f"After correction for {family} comparisons p is {figure.p_holm:.3f}: it may be chance.")
    rivals = _inseparable(choice, name)
    if rivals:
        found.append(f"Not separable from {name} on these users: {', '.join(rivals)}.")
    found.append(
        f"The validation figures are the best of {n_tried} settings and so a little too good; the test part's are not."
    )
    cut = [
        f"{one.name} ({one.n_tried} of {one.n_settings})"
        for one in choice.chosen.values()
        if one.n_tried < one.n_settings
    ]
    if cut:
        found.append(f"The budget ended before all settings were tried: {', '.join(cut)}.")
    return (*found, *_doubts_of_test(name, test))


def _doubts_of_test(name: str, test: Part | None) -> list[str]:
    if test is None:
        return ["The test part has too few users with a history, so that there is no estimate on unread data."]
    figure = test.of(name)
    if name != BASELINE and figure.delta_low is not None and figure.delta_low <= 0:
        return [f"The test part does not confirm that {name} is better than popularity: {_delta(figure)}."]
    return []


def _inseparable(choice: Choice, name: str) -> list[str]:
    """Models whose paired difference from `name` has an interval with 0 in it, random apart."""
    values = choice.judgement.values["ndcg"]
    pairs = {other: (values[name], values[other]) for other in values if other not in (name, FLOOR)}
    if not pairs:
        return []
    seed = choice.judgement.find(name, "ndcg").seed
    return [other for other, found in compare_all(pairs, seed).items() if not (found.low > 0 or found.high < 0)]


def _delta(figure: Figure) -> str:
    """A signed difference with its interval."""
    if figure.delta is None:
        return ""
    text = interval(figure.delta, figure.delta_low, figure.delta_high)
    return text if text.startswith("-") else f"+{text}"


def _report(verdict: Verdict) -> list[str]:
    setting = described(verdict.setting)
    lines = [f"# {verdict.dataset}: {verdict.model}", ""]
    lines += [f"**{verdict.model}**{f' ({setting})' if setting else ''} made the lists. {verdict.why}", ""]
    lines += [f"Rule: {verdict.rule}", ""] if verdict.asked == AUTO else []
    if verdict.valid:
        lines += [f"## On the validation part: nDCG@{verdict.k} of {verdict.valid.users:,} users", ""]
        lines += [f"Split: {verdict.valid.split}. {verdict.valid.pretends}", ""]
        lines += [*_table(verdict.valid.figures, verdict.cost), ""]
    if verdict.test:
        lines += [f"## On the test part, read once: nDCG@{verdict.k} of {verdict.test.users:,} users", ""]
        lines += [*_table(verdict.test.figures, {}), ""]
    absent = [f"{model}: {why}." for model, why in (verdict.left_out | verdict.failed).items()]
    sections = {"Uncertain": verdict.uncertain, "Left out or failed": absent, "About the data": verdict.notes}
    lines += [line for title, items in sections.items() for line in _section(title, items)]
    counts = [f"{count:,} {what.replace('_', ' ')}" for what, count in verdict.lists.items()]
    total = [f"{verdict.cost['everything']['all']:.1f} s in all"] if "everything" in verdict.cost else []
    return [*lines, *_section("The lists", [*counts, *total])]


def _section(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _table(rows: Sequence[Figure], cost: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A Markdown table, padded so that it reads well on a terminal too."""
    head = ["model", "setting", "mean", "difference from popularity", "p (Holm)"]
    head += ["fit s", "score s", "all settings s"] if cost else []
    cells = [head, *(_cells(row, cost) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    cells.insert(1, ["-" * width for width in widths])
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]


def _cells(row: Figure, cost: Mapping[str, Mapping[str, float]]) -> list[str]:
    p = "" if row.p_holm is None else f"{row.p_holm:.4f}"
    cells = [row.model, described(row.setting), interval(row.value, row.low, row.high), _delta(row), p]
    spent = cost.get(row.model)
    return cells + ([f"{spent[name]:.2f}" for name in ("fit", "score", "all")] if spent else [])
