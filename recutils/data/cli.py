"""The commands `python -m recutils data list | card | fetch | verify | guess`. They print what others do."""

import argparse
import sys
import textwrap
from pathlib import Path

from recutils import runs
from recutils.data import cache, catalogue
from recutils.data.catalogue import Entry
from recutils.data.fetch import fetch, verify
from recutils.data.formats import PARSERS
from recutils.tables import Problem


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `data` and its commands; each sets `handler`, which takes the arguments and returns the exit code."""
    parser = subparsers.add_parser("data", help="data sets and checkpoints: list, card, fetch, verify, guess")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("list", help="every entry of the catalogue, and whether it is cached")
    one.set_defaults(handler=show_list)
    one = commands.add_parser("card", help="what is in one entry, its terms, citation and traps")
    one.add_argument("name", metavar="NAME")
    one.set_defaults(handler=show_card)
    one = commands.add_parser("fetch", help="fetch and verify entries")
    one.add_argument("names", metavar="NAME", nargs="+")
    one.add_argument("--official", action="store_true", help="try the publisher's own address too")
    one.add_argument("--accept-terms", action="store_true", help="you have read the terms (see card) and accept them")
    one.set_defaults(handler=fetch_all)
    one = commands.add_parser("verify", help="full hashes of what is cached; exit code 1 when something is damaged")
    one.add_argument("names", metavar="NAME", nargs="*")
    one.set_defaults(handler=verify_all)
    one = commands.add_parser("guess", help="propose a dataset.toml for a folder of your own, with reasons")
    one.add_argument("folder", metavar="FOLDER", type=Path)
    one.add_argument("--write", action="store_true", help="keep it as FOLDER/dataset.toml; an existing one stays")
    one.set_defaults(handler=guess)


def state(entry: Entry) -> str:
    """One word for the list: yes, no, damaged or blocked."""
    if entry.blocked:
        return "blocked"
    if not cache.is_there(entry):
        return "no"
    return "damaged" if cache.damage(entry) else "yes"


def show_list(arguments: argparse.Namespace) -> int:
    """Print the table of entries."""
    print(f"{'name':<24} {'kind':<10} {'MB':>6}  {'cached':<8} {'DATASET':<8} what")
    for name, entry in catalogue.entries().items():
        cells = f"{name:<24} {entry.kind:<10} {entry.size / 1e6:>6.1f}  {state(entry):<8} {_readable(name):<8}"
        print(f"{cells} {entry.title}")
    print("\nDATASET: what notebooks and `recommend` can read; the other entries can be fetched and verified.")
    return 0


def _readable(name: str) -> str:
    """ "yes" for a data set that `load` has a reader for."""
    return "yes" if name in PARSERS else "-"


def show_card(arguments: argparse.Namespace) -> int:
    """Print one entry's card."""
    print(card(catalogue.entry(arguments.name)))
    return 0


def card(entry: Entry) -> str:
    """An entry's card as text, at most 100 characters a line."""
    packages = ", ".join(map(str, entry.packages)) or "none"
    counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in entry.counts) or "none"
    official = entry.official or "no loader takes the publisher's layout"
    fields = {
        "what": entry.what, "counts": counts, "terms": entry.terms, "cite": entry.citation, "publisher": entry.homepage,
        "package": packages, "mirror": f"$RECUTILS_MIRROR/{entry.mirror}/", "official": official,
        "size": f"{entry.size / 1e6:.1f} MB on disk, {entry.download / 1e6:.1f} MB to download",
        "profile": entry.profile, "cached": f"{state(entry)} ({cache.folder_of(entry)})",
    }  # fmt: skip
    lines = [f"{entry.title} ({entry.name}, {entry.kind})", ""]
    lines += [_field(label, text) for label, text in fields.items()]
    lines += [_field("blocked", entry.blocked)] if entry.blocked else []
    lines += [_field("trap", text) for text in entry.traps]
    members = [f"  {one.size:>12,}  {one.sha256}  {one.path}" for one in entry.members]
    return "\n".join([*lines, "", "members", *members])


def _field(label: str, text: str) -> str:
    wrapper = textwrap.TextWrapper(width=100, initial_indent=f"{label:<10} ", subsequent_indent=" " * 11)
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.fill(text)


def fetch_all(arguments: argparse.Namespace) -> int:
    """Fetch each named entry; what fails does not stop the others. Exit code 2 when one failed."""
    for name in arguments.names:
        catalogue.entry(name)  # a misspelt name stops before the first download
    failures = 0
    for name in arguments.names:
        try:
            print(f"{name}: {fetch(name, official=arguments.official, accept_terms=arguments.accept_terms, say=print)}")
        except Problem as fault:
            failures += 1
            print(f"error: {fault}", file=sys.stderr)
    return 2 if failures else 0


def guess(arguments: argparse.Namespace) -> int:
    """Print the dataset.toml proposed for a folder, or write it. Raises Problem when there is one already."""
    from recutils.data.guess import propose

    if not arguments.folder.is_dir():
        raise Problem(f"{arguments.folder} is no folder. Name the folder that holds your tables (CSV files).")
    text, place = propose(arguments.folder).to_toml(), arguments.folder / "dataset.toml"
    if not arguments.write:
        print(text, end="")
        return 0
    if place.exists():
        raise Problem(f"{place} is there already and is left as it is. Move it away, or print the proposal only.")
    runs.write_text(place, text)
    print(f"{place}: read each line and correct what is wrong")
    return 0


def verify_all(arguments: argparse.Namespace) -> int:
    """Print the state of what is cached. Exit code 1 when something is damaged, or named and not fetched."""
    found = verify(arguments.names)
    absent = [name for name in arguments.names if name not in found]
    damaged = [name for name, faults in found.items() if faults]
    for name, faults in found.items():
        print(f"{name}: {'; '.join(faults) if faults else 'whole'}")
    for name in absent:
        print(f"{name}: not fetched")
    if not found and not absent:
        print("nothing is cached yet")
    if damaged or absent:
        print(f"Cure: python -m recutils data fetch {' '.join(damaged + absent)}")
    return 1 if damaged or absent else 0
