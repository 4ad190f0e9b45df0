"""Set-up: makes .venv, installs the lock and recutils, once. Run by `make`; what is unchanged is not done again.

Standard library only, and no syntax newer than Python 3.8, so that an old Python can still say what is needed.
What reads pip's log and says what went wrong lives in setup_faults.py; nothing here knows notebooks or data.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from setup_faults import Fault, explain

OLDEST, NEWEST = (3, 11), (3, 13)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3", "python")
FRESH_GB, REPAIR_GB = 4.0, 1.0  # a fresh .venv took 2.3 GB with torch's CPU build, and pip unpacks beside it
HEARTBEAT = 15.0  # seconds between two lines of progress where no terminal is watching
PROBE = (  # must run on any Python, even 2.7
    "import sys\ntry:\n  import ensurepip, venv; can = 1\nexcept ImportError: can = 0\n"
    "i = getattr(getattr(sys, 'implementation', None), 'name', 'old')\n"
    "print('%d.%d.%d' % sys.version_info[:3] + ' %s %d %d' % (i, sys.maxsize > 2**32, can))"
)
PIP_WORKS = (
    "import pip._internal.cli.main, importlib.metadata as m, sys\n"
    "m.version('pip'); print('%d.%d' % sys.version_info[:2])"
)
CURE_PYTHON = "install Python 3.11 and run `make report PYTHON=python3.11` (or the path of that Python)"


def version_of(python):
    """'3.11.7 cpython 1 1' as a tuple ((3, 11, 7), usable, can make environments), or None when it does not run."""
    try:
        done = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
        version, name, is_64, can = done.stdout.split()
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    numbers = tuple(int(part) for part in version.split("."))
    return numbers, name == "cpython" and is_64 == "1" and OLDEST <= numbers[:2] <= NEWEST, can == "1"


def find_python(asked):
    """Path of the Python to build .venv with: `asked`, else the first on PATH that works. Raises Fault."""
    seen = []
    for name in (asked,) if asked else CANDIDATES:
        path = shutil.which(os.path.expanduser(name))
        found = version_of(path) if path else None
        if found is None:
            continue  # not there, or a shim with nothing behind it
        numbers, usable, can = found
        said = "{} at {}".format(".".join(map(str, numbers)), path)
        if usable and can:
            return path
        seen.append(said + (" (without the venv module)" if usable else ""))
    if any("venv module" in said for said in seen):
        cure = "install your system's package python3-venv, or name another Python: make report PYTHON=..."
        raise Fault("found Python {}".format(", ".join(seen)), cure)
    found = ", ".join(seen) or ("nothing that runs as PYTHON={}".format(asked) if asked else "none")
    raise Fault("needs Python 3.11 to 3.13 (CPython, 64 bit); found {}".format(found), CURE_PYTHON)


def lock_name(root):
    """Name of the stamp: changes with the lock, the project file and the folder (a copied .venv points elsewhere)."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("requirements.txt", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return ".lock-" + digest.hexdigest()[:16]


def is_ready(root):
    """True when .venv was made by a finished set-up from the lock as it is now."""
    venv = root / ".venv"
    return (venv / lock_name(root)).is_file() and os.access(str(venv / "bin" / "python"), os.X_OK)


def check_disk(root, need_gb):
    """Raises Fault when .venv's disk, or pip's temporary folder on another one, has too little room."""
    places = [(root, need_gb)]
    temporary = Path(tempfile.gettempdir())
    if temporary.stat().st_dev != root.stat().st_dev:
        places.append((temporary, REPAIR_GB))
    for place, need in places:
        free = shutil.disk_usage(str(place)).free / 1e9
        if free < need:
            wrong = "{:.1f} GB are free in {}, set-up needs {:.0f} GB there".format(free, place, need)
            raise Fault(wrong, "free some room (or point TMPDIR to another disk) and run the same command again")


@contextmanager
def alone(root):
    """Holds .venv-setup.lock, so that two set-ups at once take turns; gives its file number, for children to keep."""
    import fcntl

    with open(str(root / ".venv-setup.lock"), "w") as handle:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    print("set-up: another one is at work here, waiting for it", flush=True)
                told = True
                time.sleep(0.3)
        yield handle.fileno()


def clean_environment():
    """The environment for pip: its own variables are honoured, what would lead it out of .venv is not."""
    led_astray = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")
    kept = {name: value for name, value in os.environ.items() if name not in led_astray}
    kept.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_ROOT_USER_ACTION="ignore")
    return kept


def progress(root, log, n_pins):
    """One phrase on how far pip is, from its log and from .venv."""
    text = log.read_text(errors="replace")
    if "Installing collected packages" in text:
        return "installed {} of about {} packages".format(len(dist_infos(root)), n_pins)
    if "Retrying (Retry(" in text[-2000:]:
        return "the package index does not answer, pip tries again"
    return "found {} of {} packages".format(text.count("\nCollecting ") + text.count("already satisfied"), n_pins)


def run_logged(command, root, lock, step):
    """Runs a command, all it says into the log, with a heartbeat. Raises Fault, explained from the log."""
    log, start, told = root / ".venv-setup.log", time.monotonic(), time.monotonic()
    n_pins = sum("==" in line for line in (root / "requirements.txt").read_text().splitlines())
    every, end = (1.0, "\r") if sys.stdout.isatty() else (HEARTBEAT, "\n")
    with open(str(log), "ab") as out:
        child = subprocess.Popen(
            command, cwd=str(root), stdout=out, stderr=out, env=clean_environment(), pass_fds=(lock,)
        )
        try:
            while child.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - told > every:
                    told = time.monotonic()
                    line = "set-up: {:.0f} s, {}: {}".format(told - start, step, progress(root, log, n_pins))
                    print(line.ljust(79), end=end, flush=True)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if child.returncode:
        raise explain(log.read_text(errors="replace"), child.returncode, root)


def dist_infos(root):
    """Folders in .venv that say a package is installed."""
    return sorted((root / ".venv").glob("lib/python3*/site-packages/*.dist-info"))


def forget_broken(root):
    """Removes the mark of every package whose installation was cut short, so that pip installs it again."""
    for folder in dist_infos(root):
        record = folder / "RECORD"  # pip writes it last
        whole = record.is_file()
        if whole:
            with open(str(record), newline="", encoding="utf-8") as lines:
                names = [row[0] for row in csv.reader(lines) if row and "__pycache__" not in row[0]]
            whole = all((folder.parent / name).exists() for name in names)
        if not whole:
            shutil.rmtree(str(folder))


def venv_version(root):
    """(3, 11) of a .venv that runs and has pip, else None."""
    python = root / ".venv" / "bin" / "python"
    try:
        done = subprocess.run([str(python), "-I", "-c", PIP_WORKS], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return tuple(int(part) for part in done.stdout.split(".")) if done.returncode == 0 else None


def make_venv(root, asked, lock):
    """Sees to it that .venv runs and has pip: keeps a good one, repairs a half-made one. Raises Fault."""
    venv = root / ".venv"
    made_elsewhere = any(stamp.read_text() != str(root) for stamp in venv.glob(".lock-*"))
    for stamp in venv.glob(".lock-*"):
        stamp.unlink()  # from here on nothing says "ready" until all of it is
    forget_broken(root)
    have = None if made_elsewhere else venv_version(root)
    if have is None:
        python = find_python(asked)
        check_disk(root, FRESH_GB)
        print("set-up: making .venv with {}; log: .venv-setup.log".format(python), flush=True)
        run_logged([python, "-m", "venv", "--clear", str(venv)], root, lock, "making .venv")
        return
    if not OLDEST <= have <= NEWEST:
        raise Fault(".venv holds Python {}.{}, needs 3.11 to 3.13".format(*have), "run `make clean-all`, then again")
    check_disk(root, REPAIR_GB)


def check_asked(root, asked):
    """Raises Fault when PYTHON names another version than .venv has: a working .venv is not thrown away unasked."""
    have = venv_version(root) if asked else None
    found = version_of(shutil.which(os.path.expanduser(asked)) or asked) if have else None
    if have and (found is None or not found[1]):
        find_python(asked)
    if have and found[0][:2] != have:
        wrong = "PYTHON={} is {}.{}, but .venv holds {}.{}".format(asked, *(found[0][:2] + have))
        raise Fault(wrong, "run `make clean-all` to build .venv anew, or leave PYTHON out")


def set_up(root, asked):
    """Brings .venv in line with the lock; returns whether there was anything to do. Raises Fault."""
    check_asked(root, asked)
    if is_ready(root):
        return False
    with alone(root) as lock:
        if is_ready(root):  # the one we waited for did it
            return False
        (root / ".venv-setup.log").write_text("")
        make_venv(root, asked, lock)
        pip = [str(root / ".venv" / "bin" / "python"), "-m", "pip", "install", "--no-compile", "--progress-bar", "off"]
        run_logged(pip + ["--only-binary=:all:", "-r", "requirements.txt"], root, lock, "installing the lock")
        run_logged(pip + ["--no-deps", "--no-build-isolation", "-e", "."], root, lock, "installing recutils")
        stamp = root / ".venv" / lock_name(root)
        half = stamp.with_name("lock-being-written")
        half.write_text(str(root))
        os.replace(str(half), str(stamp))
    return True


def main(arguments=None):
    """Exit code: 0 ready, 1 failed (one line says why and the cure), 130 stopped."""
    parser = argparse.ArgumentParser(description="Makes .venv from requirements.txt; does nothing when it is ready.")
    parser.add_argument("--python", default="", help="the Python to use, 3.11 to 3.13; else the first that works")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        if set_up(given.root, given.python):
            print("set-up: ready in {:.0f} s".format(time.monotonic() - start).ljust(79), flush=True)
    except Fault as fault:
        print("set-up failed: {}".format(fault), file=sys.stderr)
        return 1
    except OSError as error:
        print("set-up failed: {}".format(explain(str(error), 1, given.root)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
