"""Readers of questions on small files, and the counts of the published ones."""

from pathlib import Path

import pytest

from recutils.data.questions import read_answered, read_intents
from recutils.tables import Problem


def folder(path: Path, train: str, test: str) -> Path:
    for name, text in (("train", train), ("test", test)):
        (path / f"{name}.csv").write_text("text,category\n" + text, encoding="utf-8")
    return path


def test_no_training_question_stands_in_test(tmp_path: Path) -> None:
    found = read_intents(folder(tmp_path, "one,b\nTwo  two,a\ntwo two,a\nthree,a\nfour,b\nfive,a\n", "ONE,b\nsix,a\n"))
    assert found.train.texts == ("Two two", "three", "four", "five") and "2 of 6" in found.train.notes[0]
    assert found.train.classes == found.test.classes == ("a", "b")
    assert found.test.labels.tolist() == [1, 0]


def test_the_most_frequent_intents(tmp_path: Path) -> None:
    found = read_intents(folder(tmp_path, "p,c\nq,a\nr,a\ns,b\nt,b\nu,b\n", "v,a\nw,b\nx,c\n"), most_intents=2)
    assert found.train.classes == ("b", "a") and len(found.test) == 2


def test_an_intent_only_in_test_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="'z'"):
        read_intents(folder(tmp_path, "p,a\nq,b\n", "r,z\n"))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,b\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,category\na,b\n", encoding="utf-8")
    with pytest.raises(Problem, match="category"):
        read_intents(tmp_path)
    (tmp_path / "x.jsonl").write_text('{"question": "a"}\n', encoding="utf-8")
    with pytest.raises(Problem, match="answer"):
        read_answered(tmp_path / "x.jsonl")
