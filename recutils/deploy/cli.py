"""The command `python -m recutils recommend`: arguments in, files and a report out. The work is done in `recommend`."""

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from recutils.data.folder import OWN_FILES, own_files
from recutils.tables import USER_ID, Dataset, Problem

ALL = "all"
SHOWN_IDS = 5
EXAMPLE = "python -m recutils recommend --data my_shop --out recs.csv"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `recommend`; its handler takes the arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "recommend",
        help="lists for the users of your own data, by the model that suits them",
        description="Compares models on your data, says which one suits them and why, and writes each user's list.",
        epilog=f"Example: {EXAMPLE}",
    )
    add = parser.add_argument
    add(
        "--data",
        required=True,
        metavar="DIR",
        help="folder with interactions.csv (and items.csv), or a data set's name",
    )
    add("--out", required=True, metavar="CSV", help="file to write; the verdict goes beside it")
    add("--model", default="auto", metavar="NAME", help="auto (default): choose by measuring; or a model's name")
    add("--k", type=int, default=10, metavar="N", help="items in a list (default %(default)s)")
    add("--users", default=ALL, metavar="FILE", help="a file with one user_id on each line, or all (default)")
    add("--seed", type=int, default=7, metavar="N", help="for everything drawn at random (default %(default)s)")
    add("--text", default="tfidf", choices=("tfidf", "minilm", "none"), help="how item texts are read (default tfidf)")
    add("--budget", type=_seconds, default=None, metavar="S", help="start no further setting after S seconds")
    parser.set_defaults(handler=recommend)


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"seconds above 0 are expected; got {text}")
    return value


def recommend(arguments: argparse.Namespace) -> int:
    """Make the lists and print the verdict."""
    from recutils.data.load import load
    from recutils.deploy.recommend import Wish, model_name, recommend_to

    if arguments.seed < 0:
        raise Problem(f"--seed must be 0 or more; got {arguments.seed}.")
    out, model = Path(arguments.out).expanduser(), model_name(arguments.model)
    _check_own_file(out, arguments.data)
    dataset = load(arguments.data)
    users = chosen_users(arguments.users, dataset)
    wish = Wish(users, model, arguments.k, arguments.text, arguments.seed, arguments.budget)
    line = Line(sys.stderr)
    try:
        verdict = recommend_to(out, dataset, wish, line.show)
    finally:
        line.clear()
    print(verdict.to_markdown())
    print(f"Lists: {out}. This verdict: {out.with_name(out.stem)}.verdict.md and .json")
    return 0


def _check_own_file(out: Path, data: str) -> None:
    """Raise Problem when the lists would overwrite the data they are made from."""
    folder = Path(data).expanduser()
    places = [folder / name for name in OWN_FILES] + (own_files(folder) if folder.is_dir() else [])
    if out.resolve() in [place.resolve() for place in places]:
        raise Problem(f"--out {out} is one of the data's own files. Give another name, such as recs.csv.")


def chosen_users(text: str, dataset: Dataset) -> np.ndarray:
    """Rows of the users named in a file, in its order and once each, or of all. Raises Problem naming unknown ids.

    The file holds one id on each line; a first line "user_id" is its header.
    """
    if text == ALL:
        return np.arange(dataset.interactions.n_users)
    try:
        lines = Path(text).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise Problem(f"--users {text!r} cannot be read ({fault}). Give a text file of ids, or all.") from fault
    ids = list(dict.fromkeys(line.strip().strip('"') for line in lines if line.strip()))
    ids = ids[1:] if ids[:1] == [USER_ID] and USER_ID not in dataset.user_ids else ids
    if not ids:
        raise Problem(f"--users {text!r} holds no id; expected one {USER_ID} on each line.")
    unknown = [name for name in ids if name not in dataset.user_ids]
    if unknown:
        shown = f"{', '.join(unknown[:SHOWN_IDS])}{' ...' if len(unknown) > SHOWN_IDS else ''}"
        known = ", ".join(dataset.user_ids.values[:3])
        raise Problem(
            f"--users: {len(unknown):,} of {len(ids):,} ids are unknown: {shown}. Known ids look like {known}."
        )
    return dataset.user_ids.rows(ids)


@dataclass
class Line:
    """One line that is redrawn on a terminal; nothing elsewhere."""

    stream: TextIO
    width: int = 0

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.stream.isatty():
            shown = text[: shutil.get_terminal_size().columns - 1]
            self.stream.write("\r" + shown.ljust(self.width))
            self.stream.flush()
            self.width = len(shown)

    def clear(self) -> None:
        """Remove the line."""
        if self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.stream.flush()
            self.width = 0
