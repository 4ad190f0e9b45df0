"""The newswire's cut, kept readings joined to their texts, word lists and their limits; bad files told."""

from pathlib import Path

import numpy as np
import pytest

from recutils.case import finance
from recutils.data.labelled import Labelled, newswire
from recutils.tables import Problem

TEXTS = tuple(f"{word} " * 12 + str(n) for n, word in enumerate(("profit", "loss", "oil", "gold")))
FOUR = Labelled("four", TEXTS, np.array([0, 1, 0, 1]), ("a", "b"))


def test_the_kept_readings_are_of_the_drawn_texts_and_agree_beyond_chance() -> None:
    train = newswire("train")
    tone = finance.load_tone(train, draws=200)
    assert (tone.rows == finance.draw_for_tone(train)).all()
    assert len(set(train.labels[tone.rows])) == len(set(train.labels)), "each topic is there"
    assert tone.agreement.n == 200 and tone.agreement.low > 0.6
    assert (tone.labels[~tone.agreed] == finance.TONES.index("neutral")).all()
    assert all(len(text.split()) <= finance.LEAD for text in tone.texts)


def _file(folder: Path, rows: list[str], head: str = "row,hash,first,second") -> Path:
    path = folder / "tone.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_a_file_of_readings_must_name_these_texts(tmp_path: Path) -> None:
    good = [
        f"{row},{finance.text_hash(finance.lead(TEXTS[row]))},{one},{two}"
        for row, one, two in [(0, "positive", "positive"), (1, "negative", "neutral"), (3, "positive", "negative")]
    ]
    tone = finance.load_tone(FOUR, _file(tmp_path, good), draws=50)
    assert [finance.TONES[label] for label in tone.labels] == ["positive", "neutral", "neutral"]
    assert tone.told.tolist() == [0] and tone.agreed.tolist() == [True, False, False]
    with pytest.raises(Problem, match="row 2 is not the text"):
        finance.load_tone(FOUR, _file(tmp_path, [*good, "2,0000000000000000,neutral,neutral"]))
    with pytest.raises(Problem, match="row 9"):
        finance.load_tone(FOUR, _file(tmp_path, ["9,0000000000000000,neutral,neutral"]))
    with pytest.raises(Problem, match="columns"):
        finance.load_tone(FOUR, _file(tmp_path, good, "row,hash,label,second"))
    with pytest.raises(Problem, match="glad"):
        finance.load_tone(FOUR, _file(tmp_path, [good[0].replace("positive,", "glad,", 1)]))
    with pytest.raises(Problem, match="missing"):
        finance.load_tone(FOUR, tmp_path / "none.csv")


def test_a_draw_holds_each_topic_and_roots_tame_the_common_one() -> None:
    labels = np.repeat([0, 1, 2], [900, 100, 1])
    found = Labelled("many", tuple(f"text {n} " + "word " * 10 for n in range(1001)), labels, ("a", "b", "c"))
    rows = finance.draw_for_tone(found, 41, seed=1)
    sizes = np.bincount(labels[rows])
    assert len(set(rows)) == 41 and sizes[2] == 1 and 2.5 < sizes[0] / sizes[1] < 3.5
    short = Labelled("short", (*found.texts, "too short"), np.append(labels, 2), ("a", "b", "c"))
    assert len(short) - 1 not in finance.draw_for_tone(short, 41, seed=1)
    with pytest.raises(Problem, match="3 topics"):
        finance.draw_for_tone(found, 2)


def test_word_lists_count_whole_words_and_say_nothing_where_there_is_none() -> None:
    scores = finance.word_tone(["Profits ROSE again", "a loss, a loss", "the suprise", "", "rises and falls"], "profits rose rises", "loss falls")  # fmt: skip  # noqa: E501
    np.testing.assert_allclose(scores, [2 / 3, -2 / 3, 0, 0, 0])
    table = finance.as_chances(scores)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    assert table[0, 1] > 0.5 > table[1, 1] and table[3, 1] == 0.5
    assert not set(finance.UP.split()) & set(finance.DOWN.split())
    assert not set(finance.PRAISE.split()) & set(finance.BLAME.split())


def test_told_chances_leave_neutral_out() -> None:
    found = finance.told_chances(np.array([[0.1, 0.6, 0.3], [0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5]])


def test_a_cap_bounds_each_class_and_keeps_rare_ones() -> None:
    labels = np.repeat([0, 1], [50, 3])
    found = Labelled("many", tuple(map(str, range(53))), labels, ("a", "b"))
    rows = finance.capped(found, np.arange(53), 5, seed=0)
    assert np.bincount(labels[rows]).tolist() == [5, 3] and (np.diff(rows) > 0).all()


def test_the_desk_teaches_before_it_watches_and_risks_cover_all_topics() -> None:
    desk = finance.desk(3, 100, n_valid=50, seed=1)
    assert desk.fit.max() < desk.watch.min() <= desk.valid.min() and len(desk.early) + len(desk.watch) == len(
        desk.train
    )
    assert np.bincount(desk.train.labels[desk.fit]).max() == 3 and len(desk.asked) == 100
    assert set(finance.WHAT_IF_RISKS) == set(desk.train.classes)
    thin = finance.desk(40, 1100, most=400, seed=1)
    assert (len(thin.fit), len(thin.valid), len(thin.asked)) == (120, 60, 120)
    assert desk.texts(np.array([0]), "test") == [finance.lead(desk.test.texts[0])]
