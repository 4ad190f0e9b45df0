"""The data commands: what they print and the exit code."""

import argparse

import pytest

from recutils.data import cli
from recutils.data.folder import read_folder
from recutils.tables import Problem


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(required=True))
    chosen = parser.parse_args(["data", *words])
    return chosen.handler(chosen)


def test_list_says_what_is_cached(shop, capsys: pytest.CaptureFixture[str]):
    assert run("list") == 0
    assert "planted" in (text := capsys.readouterr().out)
    assert " no " in text
    run("fetch", "planted")
    capsys.readouterr()
    run("list")
    assert " yes " in capsys.readouterr().out
    (shop.folder / "planted.csv").write_text("x")
    run("list")
    assert " damaged " in capsys.readouterr().out


def test_card_shows_terms_members_and_traps(shop, capsys: pytest.CaptureFixture[str]):
    shop.write(shop.members, extra='traps = ["mind the gap"]\ncounts = { rows = 1_234 }')
    assert run("card", "planted") == 0
    text = capsys.readouterr().out
    for part in ("yours", "nobody", "mind the gap", "1,234 rows", "planted-data==1.0", "deep/notes.txt"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 110


def test_every_real_card_can_be_printed(capsys: pytest.CaptureFixture[str]):
    for name in cli.catalogue.entries():
        assert run("card", name) == 0
    assert "pickle" in capsys.readouterr().out


def test_fetch_shows_terms_once(shop, capsys: pytest.CaptureFixture[str]):
    assert run("fetch", "planted") == 0
    assert "Terms: yours" in capsys.readouterr().out
    assert run("fetch", "planted") == 0
    assert capsys.readouterr().out == f"planted: {shop.folder}\n"


def test_a_failed_fetch_is_an_error_and_exit_code_2(shop, capsys: pytest.CaptureFixture[str]):
    shop.package.write_bytes(b"other")
    assert run("fetch", "planted") == 2
    assert "is not the pinned file" in capsys.readouterr().err


def test_a_misspelt_name_stops_before_the_first_download(shop):
    with pytest.raises(Problem, match="Did you mean planted"):
        run("fetch", "planted", "plantd")
    assert shop.downloads == []


def test_official_needs_consent(shop, capsys: pytest.CaptureFixture[str]):
    assert run("fetch", "planted", "--official") == 2
    assert "--official --accept-terms" in capsys.readouterr().err


def test_verify_tells_by_its_exit_code(shop, capsys: pytest.CaptureFixture[str]):
    assert run("verify") == 0
    assert "nothing is cached" in capsys.readouterr().out
    assert run("verify", "planted") == 1
    assert "not fetched" in capsys.readouterr().out
    run("fetch", "planted")
    assert run("verify") == 0
    assert "planted: whole" in capsys.readouterr().out
    (shop.folder / "deep/notes.txt").unlink()
    assert run("verify") == 1
    text = capsys.readouterr().out
    assert "planted: deep/notes.txt is missing" in text
    assert "Cure: python -m recutils data fetch planted" in text


def test_a_folder_of_ones_own_gets_a_proposal_that_reads_it(tmp_path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = "".join(f"k{n % 7};a{n % 5};{n % 5 + 1},5;{1 + n % 28}.03.2024\n" for n in range(60))
    (folder / "Bestellungen.csv").write_text("Kunde;Artikel;Sterne;Datum\n" + rows)
    (folder / "Waren.csv").write_text("Artikel;Titel\n" + "".join(f"a{n};Ware {n}\n" for n in range(5)))
    assert run("guess", str(folder)) == 0
    printed = capsys.readouterr().out
    for part in ('interactions = "Bestellungen.csv"', 'user_id = "Kunde"', 'value = "Sterne"', 'time = "Datum"'):
        assert part in printed
    assert not (folder / "dataset.toml").exists()
    assert run("guess", str(folder), "--write") == 0 and (folder / "dataset.toml").read_text() == printed
    assert set(read_folder(folder).interactions.value) <= {1.5, 2.5, 3.5, 4.5, 5.5}
    with pytest.raises(Problem, match="left as it is"):
        run("guess", str(folder), "--write")
    with pytest.raises(Problem, match="no folder"):
        run("guess", str(folder / "absent"))
