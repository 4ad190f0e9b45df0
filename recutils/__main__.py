"""The command line: `python -m recutils data | recommend | report ...`. Each stage brings its own commands."""

import argparse
import sys

try:
    from recutils.data import cli as data
    from recutils.deploy import cli as deploy
    from recutils.deploy import cli_serve
    from recutils.report import cli as report
    from recutils.tables import Problem
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: package {missing.name!r} is not installed here. Run `. .venv/bin/activate` first, or `make setup`."
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. A fault that the user can cure is one message and code 2."""
    parser = argparse.ArgumentParser("python -m recutils", description="Language models in recommenders, on real data.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data.add_parser(commands)
    report.add_parser(commands)
    deploy.add_parser(commands)
    cli_serve.add_parsers(commands)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.handler(chosen)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
