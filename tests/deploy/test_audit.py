"""`make audit` sees each kind of fault when it is planted, and is quiet without."""

import json
import secrets as random_text
import subprocess
from pathlib import Path

import pytest

from recutils.deploy import cli_serve
from recutils.deploy.access import READ, Keys, new_key
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset
from tests.deploy.test_engine import bundle
from tools import audit
from tools.audit import FAULT, OK, UNKNOWN
from tools.audit_code import entropy, secrets, unsafe


def states(lines: list[audit.Line]) -> set[str]:
    return {line.state for line in lines}


def test_a_package_that_is_not_the_locks_is_found(tmp_path: Path) -> None:
    import numpy
    import torch

    lock = tmp_path / "requirements.txt"
    lock.write_text(f"# the lock\nnumpy=={numpy.__version__}  # arrays\n\ntorch=={torch.__version__.split('+')[0]}\n")
    assert states(audit.packages(tmp_path)) == {OK}
    lock.write_text("numpy==0.1\nno-such-package==1.0\ntorch\n")
    told = [line.told for line in audit.packages(tmp_path)]
    assert (
        len(told) == 3 and "lock says 0.1" in told[0] and "installed is missing" in told[1] and "no version" in told[2]
    )


def test_what_no_database_was_asked_about_is_not_called_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda name: None)
    assert states(audit.vulnerabilities(tmp_path)) == {UNKNOWN}
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda name: object())

    def answers(text: str) -> None:
        done = subprocess.CompletedProcess([], 1, text, "no network")
        monkeypatch.setattr(audit.subprocess, "run", lambda *a, **b: done)

    answers("")
    assert states(audit.vulnerabilities(tmp_path)) == {UNKNOWN}
    answers(json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]}))
    assert audit.vulnerabilities(tmp_path)[0].state == FAULT
    answers(json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}))
    assert states(audit.vulnerabilities(tmp_path)) == {OK}


def test_the_rules_are_heard_even_where_a_comment_silences_them(tmp_path: Path) -> None:
    (tmp_path / "recutils").mkdir()
    (tmp_path / "tools").mkdir()
    planted = tmp_path / "recutils" / "planted.py"
    planted.write_text("import hashlib\n")
    assert states(audit.rules(tmp_path)) == {OK}
    planted.write_text("import hashlib\n\nhashlib.md5(b'')  # noqa: S324\n")
    assert "planted.py:3: S324" in audit.rules(tmp_path)[0].told


RUNS = [
    "import pickle", "from joblib import load", "eval('1')", "exec(text)", "__import__(name)",
    "import os\nos.system('ls')",
    "import yaml\nyaml.load(text)", "from yaml import unsafe_load as read\nread(text)",
    "import torch\ntorch.load(path)",
    "import torch\ntorch.load(path, weights_only=False)", "import numpy as np\nnp.load(path, allow_pickle=True)",
    "import pandas as pd\npd.read_pickle(path)", "from pandas import read_pickle\nread_pickle(path)",
    "from transformers import AutoModel\nAutoModel.from_pretrained(name, trust_remote_code=flag)",
    "import subprocess\nsubprocess.run(command, shell=True)", "import subprocess as s\ns.run(f'ls {name}')",
    "def broken(:",
]  # fmt: skip
FINE = [
    "import torch\ntorch.load(path, weights_only=True)", "import numpy as np\nnp.load(path, allow_pickle=False)",
    "import re\nre.compile('a')", "model.eval()", "import subprocess\nsubprocess.run(['ls', name])",
    "yaml.safe_load(text)",
    "frame.eval('a + b')", "'import pickle'", "# eval(text)",
]  # fmt: skip


@pytest.mark.parametrize("source", RUNS)
def test_code_that_runs_what_it_reads_is_found_in_files_and_notebooks(tmp_path: Path, source: str) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "recutils").mkdir()
    (tmp_path / "recutils" / "planted.py").write_text(source)
    lines = audit.code(tmp_path)
    assert len(lines) == 1 and lines[0].state == FAULT and "planted.py, line" in lines[0].told
    (tmp_path / "recutils" / "planted.py").unlink()
    cells = [{"cell_type": "markdown", "source": ["eval(1)"]}, {"cell_type": "code", "source": ["%time x\n", source]}]
    (tmp_path / "notebooks" / "planted.ipynb").write_text(json.dumps({"cells": cells}))
    assert "cell 2, line" in audit.code(tmp_path)[0].told


@pytest.mark.parametrize("source", FINE)
def test_code_that_does_not_is_left_alone(tmp_path: Path, source: str) -> None:
    (tmp_path / "planted.py").write_text(source)
    assert not list(unsafe(tmp_path / "planted.py"))


def test_secrets_are_found_and_not_repeated(tmp_path: Path) -> None:
    letters = "A" * 16
    planted = {
        "key.txt": "-----BEGIN " + "RSA PRIVATE KEY-----", "cloud.py": f"aws = 'AKIA{letters}'",
        "forge.yml": "token: ghp_" + "a1B2" * 9, "hub.md": "hf_" + "aB3d" * 9, "chat.cfg": "xoxb-" + "1234567890-abc",
        "service.env": "KEY=sk-" + "a1B2" * 9, "address.toml": "x = 'https://me:" + "hunter22@example.org/'",
        "jwt.json": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N",
        "own.txt": f"the service's key is {random_text.token_urlsafe(32)}!",
    }  # fmt: skip
    for name, text in planted.items():
        (tmp_path / name).write_text(f"first line\n{text}\n")
        told = list(secrets(tmp_path / name))
        assert told and told[0].startswith("line 2: "), name
        assert not any(word in "".join(told) for word in text.split() if len(word) > 20)
    assert states(audit.held_secrets(tmp_path)) == {FAULT}


def test_hashes_words_and_numbers_are_no_secrets(tmp_path: Path) -> None:
    for number, text in enumerate((
        "a" * 64, "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        "test_every_list_is_ranked_and_says_how",
        "SentenceTransformersAllMpnetBaseV2Pooling", "0123456789" * 5, "https://example.org/a:b@c", "=" * 80,
    )):  # fmt: skip
        (tmp_path / f"{number}.txt").write_text(text)
    assert states(audit.held_secrets(tmp_path)) == {OK}
    assert entropy("aaaa") == 0 and entropy("abab") == 1 and entropy("abcd") == 2


def test_a_committed_file_of_keys_and_open_modes_are_found(tmp_path: Path) -> None:
    interim = tmp_path / "data" / "interim"
    log = interim / "log"
    log.mkdir(parents=True, mode=0o700)
    (log / "events-000001.jsonl").write_text("")
    log.chmod(0o700)
    path = Keys((new_key("shop", [READ])[1],)).save(interim / "keys.json")
    own = tmp_path / "my_log"  # where README's `--feedback my_log` puts it
    own.mkdir(mode=0o700)
    (own / "events-000001.jsonl").write_text("")
    (tmp_path / "link.json").symlink_to(path)
    twice = audit.modes(tmp_path, [path, tmp_path / "data" / ".." / "data" / "interim" / "keys.json"], [own])
    assert [str(line) for line in twice] == [str(line) for line in audit.modes(tmp_path)]
    assert states(twice) == {OK}
    assert [line.told[:24] for line in twice] == ["files of keys: 1, their ", "folders of feedback: 2, "]
    assert "is a file of keys" in audit.held_secrets(tmp_path)[-1].told
    path.chmod(0o644)
    log.chmod(0o755)
    own.chmod(0o750)
    assert [line.state for line in audit.modes(tmp_path)] == [FAULT, FAULT, FAULT]
    assert "my_log has mode 750" in audit.modes(tmp_path)[-1].told
    assert any("is not there" in line.told for line in audit.modes(tmp_path, [tmp_path / "elsewhere.json"]))
    nothing = audit.modes(tmp_path / "nowhere")
    assert states(nothing) == {UNKNOWN} and ["none found" in line.told for line in nothing] == [True, True]


def test_what_may_be_downloaded_must_be_pinned(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path, pin = tmp_path / "data" / "catalogue.toml", "a" * 64
    path.write_text(f'[one]\n[[one.members]]\npath = "a.csv"\nsha256 = "{pin}"\n[two]\nblocked = "a pickle"\n')
    assert states(audit.catalogue(tmp_path)) == {OK}
    for text in ('[one]\n[[one.members]]\npath = "a.csv"\n', "[one]\n", path.read_text().replace(pin, pin[1:])):
        path.write_text(text)
        assert states(audit.catalogue(tmp_path)) == {FAULT}


def test_a_bundle_that_was_changed_is_found(dataset: Dataset, tmp_path: Path) -> None:
    assert states(audit.shelf(tmp_path)) == {UNKNOWN}
    folder = Shelf(tmp_path / "data" / "interim" / "shelf").publish(bundle(dataset))
    assert states(audit.shelf(tmp_path)) == {OK}
    folder.rename(folder.with_name("0" * 12))
    assert "another version" in audit.shelf(tmp_path)[0].told
    (folder.with_name("0" * 12) / "card.md").write_text("better than it is")
    assert "not the file that was published" in audit.shelf(tmp_path)[0].told


def test_a_service_that_others_may_reach_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(audit.reach()) == {OK}
    with monkeypatch.context() as patch:
        patch.setattr(cli_serve, "LOOPBACK", ("0.0.0.0",))  # noqa: S104 - the fault that is planted
        assert "listens on 0.0.0.0" in audit.reach()[0].told and len(audit.reach()) == 2


def test_this_project_passes_its_own_audit() -> None:
    """The slow and changing parts apart (packages, what lies in data/): CI runs them all by `make audit`."""
    root = audit.ROOT
    lines = [*audit.rules(root), *audit.code(root), *audit.held_secrets(root), *audit.catalogue(root), *audit.reach()]
    assert [str(line) for line in lines if line.state != OK] == []


def test_the_command_tells_each_check_and_ends_with_1_on_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    lines = [audit.Line("one", OK, "fine"), audit.Line("two", UNKNOWN, "no database", "get one")]
    monkeypatch.setattr(audit, "audit", lambda *_: lines)
    assert audit.main([]) == 0 and "not checked two" in " ".join(capsys.readouterr().out.split())
    lines.append(audit.Line("three", FAULT, "open", "close it"))
    assert audit.main([]) == 1 and "cure: close it" in capsys.readouterr().out
