"""What can go wrong in set-up, read from pip's log: one line on what is wrong and the cure. Installs nothing itself."""

from __future__ import annotations

import re
import shutil

AGAIN = "and run the same command again: what is installed is kept"
CURE_INDEX = (
    "connect to the network (behind a proxy set HTTPS_PROXY), or point pip to an index or a folder of wheels "
    "with PIP_INDEX_URL, PIP_FIND_LINKS or pip.conf, " + AGAIN
)
NO_INDEX = (
    "NewConnectionError|ConnectTimeoutError|NameResolutionError|ProxyError|Failed to establish|"
    "Temporary failure in name resolution|Name or service not known|Connection refused|Network is unreachable"
)
BROKEN_OFF = "ReadTimeoutError|IncompleteRead|ConnectionResetError|RemoteDisconnected|ProtocolError|Connection aborted"
MISSING = re.compile(r"Could not find a version that satisfies the requirement (\S+).*?\(from versions: ([^)]*)\)")


class Fault(Exception):
    """What is wrong and how to cure it, on one line."""

    def __init__(self, wrong, cure):
        super().__init__(" ".join("{}. cure: {}".format(wrong, cure).split()))


def explain(log, code, root):
    """The Fault behind a command that failed.

    log:  what it said, pip's warnings and errors among it.
    code: its exit code, negative for a signal.
    root: the checkout, whose free disk is told.
    """
    logged = " (log: .venv-setup.log)"
    if re.search(r"No space left on device|Errno 28|Disk quota exceeded", log):
        free = shutil.disk_usage(str(root)).free / 1e9
        wrong = "the disk is full ({:.1f} GB free in {})".format(free, root)
        return Fault(wrong, "free about 4 GB there, or point TMPDIR to a larger disk, " + AGAIN + logged)
    if re.search(r"Permission denied|Errno 13|Read-only file system", log):
        return Fault(last_error(log) or "the checkout cannot be written", "make the folder writable " + AGAIN + logged)
    if re.search(r"SSLError|CERTIFICATE_VERIFY_FAILED", log):
        return Fault("the package index's certificate is not trusted", "set PIP_CERT to your CA file " + AGAIN + logged)
    missing = MISSING.search(log)
    if re.search(NO_INDEX, log) and (missing is None or missing.group(2) == "none"):
        return Fault("no package index could be reached", CURE_INDEX + logged)
    if missing:
        return Fault(no_wheel(missing), CURE_INDEX + logged)
    if re.search(BROKEN_OFF, log):
        return Fault("the connection to the package index broke off", "look at the network " + AGAIN + logged)
    if code < 0:
        wrong = "it was killed by signal {}, perhaps for want of memory".format(-code)
        return Fault(wrong, "close other programs " + AGAIN + logged)
    return Fault(last_error(log) or "exit code {}".format(code), "see .venv-setup.log, mend that " + AGAIN)


def no_wheel(missing):
    """What to say when pip found no file for a pin; missing is MISSING's match."""
    pin, offered = missing.groups()
    if offered == "none":
        return "no package index could be reached, or it offers no {} for this Python and machine".format(pin)
    return "pip's index offers no wheel of {} for this Python and machine".format(pin)


def last_error(log):
    """The last line that says error, without its prefix; empty when there is none."""
    lines = [line.strip() for line in log.splitlines() if re.search(r"error", line, re.IGNORECASE)]
    return re.sub(r"^(ERROR|error): ", "", lines[-1])[:300] if lines else log.strip().split("\n")[-1][:300]
