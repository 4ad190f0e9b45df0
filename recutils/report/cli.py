"""The commands report, publish, diff, student: arguments in, exit code out. Their work stands in what they call."""

import argparse
import os
from pathlib import Path

from recutils.report.project import Project
from recutils.runs import ROOT


def report(arguments: argparse.Namespace) -> int:
    """Run a profile. 0 when nothing failed, 1 when something did, 130 when stopped."""
    from recutils.report.plan import make_plan
    from recutils.report.run import Runner

    project = Project(Path(arguments.root).resolve())
    plan = make_plan(project, arguments.profile, only=arguments.only, pairs=arguments.param)
    return Runner(project, plan, jobs=arguments.jobs, force=arguments.force).run()


def publish(arguments: argparse.Namespace) -> int:
    """Publish a finished run, rewrite the tables, or check them."""
    from recutils.report import publish

    project = Project(Path(arguments.root).resolve())
    if arguments.check:
        return publish.check(project, print)
    if arguments.tables:
        return publish.write_tables(project, print)
    return publish.publish(project, arguments.run, print, allow_dirty=arguments.allow_dirty)


def diff(arguments: argparse.Namespace) -> int:
    """Compare the records of two runs. 0 when equal, 1 when different."""
    from recutils.report.diff import show

    return show(Project(Path(arguments.root).resolve()), arguments.a, arguments.b, print)


def student(arguments: argparse.Namespace) -> int:
    """Write copies of the notebooks without solutions; a copy that holds somebody's answers stays."""
    from recutils.report.student import write

    folder = Path(arguments.out or Path(arguments.root) / "student")
    written = write(Project(Path(arguments.root).resolve()), folder)
    print(f"{sum(written.values())} of {len(written)} student copies written to {folder}")
    for name in (name for name, done in written.items() if not done):
        print(f"  kept {name}: its cells were changed. For a fresh copy move it away and run the command again.")
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is expected; got {value}")
    return value


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add report, publish, diff, student; each sets `handler`, which takes the arguments and returns the exit code."""
    run = subparsers.add_parser("report", help="run the notebooks and write the reports")
    run.add_argument(
        "--profile", default="standard", metavar="NAME", help="how much to run: smoke, standard (default) or full"
    )
    run.add_argument(
        "--only", default="", metavar="GLOB", help="run only matching notebooks and what they need, such as '31*'"
    )
    run.add_argument(
        "--jobs",
        type=_positive,
        default=min(2, os.cpu_count() or 1),
        metavar="N",
        help="notebooks side by side (default %(default)s)",
    )
    run.add_argument("--force", action="store_true", help="run all, also what is unchanged")
    run.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter in the matching notebooks that have it",
    )
    run.set_defaults(handler=report)
    put = subparsers.add_parser(
        "publish", help="copy a finished standard run's results to reports/published and the README"
    )
    put.add_argument("run", nargs="?", default="latest", metavar="RUN", help="id of the run (default: the last one)")
    put.add_argument("--check", action="store_true", help="only say whether the tables match reports/published")
    put.add_argument("--tables", action="store_true", help="only write the tables again from reports/published")
    put.add_argument("--allow-dirty", action="store_true", help="accept a run whose files were not committed")
    put.set_defaults(handler=publish)
    compare = subparsers.add_parser("diff", help="compare the records of two runs")
    compare.add_argument("a", metavar="A", help="a run's id, 'latest', 'published' or a folder")
    compare.add_argument("b", metavar="B")
    compare.set_defaults(handler=diff)
    copies = subparsers.add_parser("student", help="copy the notebooks without their solutions; self-checks stay")
    copies.add_argument("--out", default="", metavar="DIR", help="folder of the copies (default: student)")
    copies.set_defaults(handler=student)
    for parser in (run, put, compare, copies):
        parser.add_argument("--root", default=str(ROOT), help=argparse.SUPPRESS)
