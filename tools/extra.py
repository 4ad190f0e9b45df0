"""`make extra-NAME`: adds an optional set of packages to .venv, in the versions of tools/extra-NAME.txt.

Run by .venv's own Python after set-up. What the lock holds stays as it is: pip is told to keep to it.
"""

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent


def known():
    """Names of the extras that have a list of versions."""
    return sorted(path.stem.removeprefix("extra-") for path in TOOLS.glob("extra-*.txt"))


def lacking(name):
    """What the extra needs beside packages and does not find here, with the cure; "" where nothing lacks."""
    if name != "scale":
        return ""
    from recutils.deploy.spark import JAVA, java_version

    version = java_version()
    if version is not None and version >= JAVA:
        return ""
    have = "none" if version is None else version
    return (
        f"Spark needs Java {JAVA} or newer; found {have}. cure: install your system's package openjdk-17-jre-headless"
    )


def main(name):
    """Install one extra; the exit code."""
    if name == "site":
        print("extra-site: the Sphinx site is not part of this version yet", file=sys.stderr)
        return 1
    if name not in known():
        print(f"there is no extra {name!r}: expected {', '.join(known())} or site", file=sys.stderr)
        return 2
    if fault := lacking(name):
        print(f"extra-{name}: {fault}", file=sys.stderr)
        return 1
    print(
        f"extra-{name}: installing tools/extra-{name}.txt into .venv (a source is built once, a minute or two)",
        flush=True,
    )
    lock, wanted = TOOLS.parent / "requirements.txt", TOOLS / f"extra-{name}.txt"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-build-isolation"]
    code = subprocess.run([*pip, "-c", str(lock), "-r", str(wanted)], check=False).returncode
    if code:
        print(
            f"extra-{name}: pip failed (above). cure: see that the package index is in reach, run it again",
            file=sys.stderr,
        )
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [""]))
