"""A small Spark cluster on this machine, for as long as a `with` lasts: start, evidence, end. Jobs are spark_jobs.py.

`local-cluster[2,1,1024]` starts real executors, each a Java process of its own with its own Python workers: what runs
here runs on a real cluster, but for the network between machines, which no measurement here shows.
Nothing is started or imported before `cluster()` is entered; without pyspark or Java `why_not()` says what is missing.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recutils import runs
from recutils.deploy.process import environment
from recutils.tables import Problem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CURE = "make extra-scale"
JAVA = 17  # the oldest that Spark 4 runs on
HOST = "127.0.0.1"  # nothing listens beyond this machine
START_SECONDS = 120.0
EXECUTOR = "CoarseGrainedExecutorBackend"  # the class that an executor's Java process runs
QUIET = "rootLogger.level = error\nrootLogger.appenderRef.file.ref = file\nappender.file.type = Console\n" \
    "appender.file.name = file\nappender.file.target = SYSTEM_ERR\nappender.file.layout.type = PatternLayout\n" \
    "appender.file.layout.pattern = %p %c: %m%n\n"  # fmt: skip


def why_not() -> str:
    """What is missing for Spark to run here, with its cure; "" where all is there."""
    if find_spec("pyspark") is None:
        return f"pyspark is not installed: {CURE}"
    found = java_version()
    if found is None:
        return f"there is no Java here, and Spark needs version {JAVA} or newer: install one, then {CURE}"
    return "" if found >= JAVA else f"Java {found} was found, and Spark needs {JAVA} or newer: install one, then {CURE}"


def java_version() -> int | None:
    """The major version of the Java that Spark would take (JAVA_HOME, else the path); None without one."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else "java"
    try:
        told = subprocess.run([command, "-version"], capture_output=True, text=True, check=True, timeout=30).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', told)  # Java 8 calls itself 1.8
    return int(found.group(1)) if found else None


@dataclass(frozen=True, eq=False)
class Cluster:
    """A running cluster. folder: scratch that the driver and the executors share, gone with the cluster.

    start_seconds: from nothing to the last executor at work, which every job on a fresh cluster pays first.
    """

    session: "SparkSession"
    folder: Path
    java: int
    start_seconds: float

    def executors(self) -> pd.DataFrame:
        """The executors as the running cluster tells them, not as they were asked for: host, port.

        Spark's tracker lists the driver too; it is left out by the ports that its process listens on.
        """
        import psutil

        context = self.session.sparkContext
        infos = context._jsc.sc().statusTracker().getExecutorInfos()
        driver = {one.laddr.port for one in psutil.Process(self.java).net_connections("tcp")}
        found = [(one.host(), one.port()) for one in infos if one.port() not in driver]
        return pd.DataFrame(found, columns=["host", "port"])

    def processes(self) -> pd.DataFrame:
        """The executors as the operating system shows them: process id, resident memory with Python workers, MB."""
        import psutil

        rows = []
        for one in psutil.Process(self.java).children(recursive=True):
            with suppress(psutil.Error):
                if any(EXECUTOR in part for part in one.cmdline()) and one.name() == "java":
                    tree = [one, *one.children(recursive=True)]
                    rows.append((one.pid, sum(member.memory_info().rss for member in tree) / 1e6, len(tree) - 1))
        return pd.DataFrame(rows, columns=["process", "resident, MB", "Python workers"])

    def memory_mb(self) -> float:
        """Resident memory of the driver's Java process and all that it started, MB (10^6 bytes)."""
        import psutil

        own = psutil.Process(self.java)
        total = 0
        for one in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
        return total / 1e6


@contextmanager
def cluster(executors: int = 2, *, memory_mb: int = 1024) -> Iterator[Cluster]:
    """A fresh cluster of `executors` executors with one core each; everything of it is gone when the block is left.

    memory_mb: heap of an executor. Raises Problem, with the cure, where Spark cannot run or one of its jobs fails.
    """
    if missing := why_not():
        raise Problem(missing)
    if executors < 1 or memory_mb < 512:
        raise Problem(f"expected 1 executor or more, of 512 MB or more; got {executors} of {memory_mb} MB")
    folder = Path(tempfile.mkdtemp(prefix="recutils-spark-"))
    try:
        with warnings.catch_warnings(), _told(folder):
            # pyspark 4.3 warns of pandas 3 at each conversion; what passes here are plain int, float and text columns,
            # and tests hold them to what was sent
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            with _started(folder, executors, memory_mb) as found, _told(folder):  # a fault is read while Java lives
                yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Spark's own errors as Problem: the first line of many, and where to look."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as fault:
        told = str(fault).splitlines() or [type(fault).__name__]
        first = next((line for line in reversed(told) if re.search(r"\w(Error|Problem|Exception):", line)), told[0])
        log = folder / "driver.log"
        last = log.read_text(encoding="utf-8", errors="replace")[-300:].strip() if log.is_file() else ""
        raise Problem(
            f"Spark failed: {first.strip()[:500]}. {last} If memory ran out, give executors more (memory_mb) or the "
            f"job less; if Java or pyspark is damaged: {CURE}."
        ) from fault


@contextmanager
def _started(folder: Path, executors: int, memory_mb: int) -> Iterator[Cluster]:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._active_spark_context is not None:
        raise Problem("a Spark session is running in this process already. Leave its block before you start another.")
    began = time.perf_counter()
    gateway = _gateway(folder)
    session = None
    try:
        conf = SparkConf().setMaster(f"local-cluster[{executors},1,{memory_mb}]").setAppName("recutils")
        conf = conf.setAll(list(_settings(folder, executors, memory_mb).items()))
        with _environment({"PYSPARK_PYTHON": sys.executable}):  # read here, and passed on to the executors
            context = SparkContext(conf=conf, gateway=gateway)
        session = SparkSession(context)
        found = Cluster(session, folder, gateway.proc.pid, 0.0)
        _wait(found, executors)
        yield Cluster(session, folder, gateway.proc.pid, time.perf_counter() - began)
    finally:
        _end(session, gateway)


def _gateway(folder: Path) -> Any:
    """The driver's Java process, with what it says in a file instead of in the notebook."""
    from pyspark.java_gateway import launch_gateway

    (folder / "log4j2.properties").write_text(QUIET, encoding="utf-8")
    wanted = {
        "SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": HOST, "SPARK_LOCAL_HOSTNAME": HOST,
        "SPARK_LOCAL_DIRS": str(folder), "SPARK_WORKER_DIR": str(folder / "work"),
        "SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={folder}",
    }  # fmt: skip
    with _environment(wanted), (folder / "driver.log").open("wb") as log:
        return launch_gateway(popen_kwargs={"stdout": log, "stderr": log, "start_new_session": True})


def _settings(folder: Path, executors: int, memory_mb: int) -> dict[str, str]:
    """Loopback only, no web page, as many parts as executors, and the project's own code in the executors."""
    seen_by_workers = {
        "PYTHONPATH": environment()["PYTHONPATH"], "RECUTILS_HOME": str(runs.ROOT), "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false", "SPARK_LOCAL_IP": HOST,
    }  # fmt: skip
    return {
        "spark.driver.host": HOST, "spark.driver.bindAddress": HOST, "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false", "spark.local.dir": str(folder), "spark.log.level": "ERROR",
        "spark.executor.memory": f"{memory_mb}m", "spark.executor.cores": "1", "spark.cores.max": str(executors),
        "spark.sql.warehouse.dir": str(folder / "warehouse"), "spark.sql.shuffle.partitions": str(executors),
        "spark.default.parallelism": str(executors), "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true", "spark.task.maxFailures": "1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    } | {f"spark.executorEnv.{name}": value for name, value in seen_by_workers.items()}  # fmt: skip


def _wait(found: Cluster, executors: int) -> None:
    began = time.perf_counter()
    while len(found.executors()) < executors:
        if time.perf_counter() - began > START_SECONDS:
            raise Problem(f"{len(found.executors())} of {executors} executors came within {START_SECONDS:g} s. Is "
                          "memory left for them?")  # fmt: skip
        time.sleep(0.05)


def _end(session: "SparkSession | None", gateway: Any) -> None:
    """Stop the session and its Java process, so that the next cluster starts from nothing."""
    from pyspark import SparkContext

    with suppress(Exception):  # what runs on is killed below
        if session is not None:
            session.stop()
        elif SparkContext._active_spark_context is not None:
            SparkContext._active_spark_context.stop()
    with suppress(Exception):
        gateway.shutdown()
    _kill(gateway.proc)
    SparkContext._gateway = SparkContext._jvm = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, and wait for them."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
        process.stdin.close()
        process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=5)
        for one in alive:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process, as before when the block is left."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
