"""`make extra-NAME`: adds an optional set of packages to .venv, in the versions of tools/extra-NAME.txt.

Run by .venv's own Python after set-up. What the lock holds stays as it is: pip is told to keep to it.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
OLDEST_JAVA = 17


def known():
    """Names of the extras that have a list of versions."""
    return sorted(path.stem.removeprefix("extra-") for path in TOOLS.glob("extra-*.txt"))


def java(told):
    """Major version in what `java -version` says; None where nothing is recognised. 1.8 is 8."""
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else None


def lacking(name):
    """What the extra needs beside packages and does not find here, with the cure; "" where nothing lacks."""
    if name != "scale":
        return ""
    command = shutil.which("java")
    told = subprocess.run([command, "-version"], capture_output=True, text=True, check=False) if command else None
    version = java(told.stderr + told.stdout) if told else None
    if version is None or version < OLDEST_JAVA:
        have = f"found {version}" if version else "found none"
        cure = "install your system's package openjdk-17-jre-headless"
        return f"Spark needs Java {OLDEST_JAVA} or newer; {have}. cure: {cure}"
    return ""


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
