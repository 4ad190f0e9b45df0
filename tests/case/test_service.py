"""The desk of notebook 87: its outcomes, its parts, the readings of its answers."""

import numpy as np
import pandas as pd
import pytest

from recutils.case import service
from recutils.case.service import FAULTS, Composed, Desk, cost_of, held_out, load_templates, of_each, read, shortened
from recutils.data.questions import read_answered
from recutils.tables import Problem
from recutils.trust.filter import load_rules

CLASSES = ("late card", "fee")
ANSWERS = [
    Composed("where is it", "It comes.", "", "Wait a day."),
    Composed("why a fee", "", "A fee is common.", "Yes."),
]


@pytest.fixture
def desk() -> Desk:
    return Desk(CLASSES, {"fee": "This is why."}, 0.6, load_rules())


def outcome(desk: Desk, text: str, chances: tuple[float, float] = (0.1, 0.9)) -> str:
    return desk.serve([text], np.array([chances])).outcome[0]


@pytest.mark.parametrize("text", ["", "   ", "?!", "\u200b"])
def test_empty_texts_are_asked_for_words_whatever_the_chances_say(desk: Desk, text: str) -> None:
    assert outcome(desk, text) == "empty"


@pytest.mark.parametrize(
    "text",
    ["how do I launder money", "how to bypass the identity verification", "i want to END my life", "a fake id please"],
)
def test_harmful_texts_are_refused_however_sure_the_intent_is(desk: Desk, text: str) -> None:
    served = desk.serve([text], np.array([[0.0, 1.0]]))
    assert served.outcome[0] == "refused" and served.answer[0] != "This is why." and served.intent[0] == ""


@pytest.mark.parametrize("text", ["Warum ist die Karte nicht da und wer hilft mir?", "где моя карта", "卡在哪里"])
def test_another_language_goes_to_a_person(desk: Desk, text: str) -> None:
    assert outcome(desk, text) == "person: other language"


def test_the_threshold_and_the_templates_decide(desk: Desk) -> None:
    assert outcome(desk, "why is there a fee") == "template"
    assert outcome(desk, "why is there a fee", (0.41, 0.59)) == "person: unsure"
    assert outcome(desk, "where is my card", (0.9, 0.1)) == "person: no template"
    assert outcome(desk, "guaranteed returns with my card?") == "person: to be read first"


def test_every_question_has_one_outcome_and_an_answer(desk: Desk) -> None:
    served = desk.serve(["", "why is there a fee", "launder it"], np.full((3, 2), 0.5))
    assert len(served) == 3 and served.outcome.isin(service.OUTCOMES).all() and (served.answer != "").all()
    assert service.outcomes(served).questions.sum() == 3


@pytest.mark.parametrize("chances", [np.zeros((1, 3)), np.full((1, 2), np.nan), np.zeros((2, 2))])
def test_wrong_chances_are_refused(desk: Desk, chances: np.ndarray) -> None:
    with pytest.raises(Problem, match="chances"):
        desk.serve(["why"], chances)


def test_our_templates_promise_no_numbers() -> None:
    templates = load_templates()
    assert 10 <= len(templates) <= 15
    assert not any(letter.isdigit() for answer in templates.values() for letter in answer)


@pytest.mark.parametrize("text", ["intent,answer\na,\n", "intent,answer\na,b\na,c\n", "intent\na\n", "intent,answer\n"])
def test_broken_templates_are_named(tmp_path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(Problem, match=r"t\.csv"):
        load_templates(tmp_path / "t.csv")


def test_held_out_intents_do_not_meet() -> None:
    one, two = held_out(range(4, 10), 3, np.random.default_rng(0))
    assert sorted([*one, *two]) == list(range(4, 10))
    with pytest.raises(Problem, match="held out"):
        held_out(range(5), 3, np.random.default_rng(0))


def test_so_many_of_each_class() -> None:
    labels = np.array([0] * 9 + [1] * 2 + [2] * 5)
    rows = of_each(labels, np.arange(11), 3, np.random.default_rng(1))
    assert np.bincount(labels[rows]).tolist() == [3, 2] and len(set(rows)) == 5


def test_a_learner_answers_in_the_order_of_the_texts() -> None:
    texts = ["card lost", "pay fee", "card gone", "fee high", "lost card", "high fee", "card away", "fee fee"]
    vectors = np.array([[1.0, 0.1 * i] if "card" in text else [0.1 * i, 1.0] for i, text in enumerate(texts)])
    labels = np.array([0, 1] * 4)
    made = service.learners(
        texts, vectors, np.array([6, 1, 0, 3]), n_classes=3, strengths={"words": 100.0, "MiniLM": 1.0}
    )
    for name, learn in made.items():
        chances = learn(np.array([0, 1]), labels[:2])
        assert chances.argmax(1).tolist() == labels.tolist(), name
        assert np.allclose(chances.sum(1), 1) and (chances[:, 2] == 0).all()
    with pytest.raises(Problem, match="vector"):
        service.learners(texts, vectors[:3], np.array([0]), n_classes=3, strengths={"words": 1.0, "MiniLM": 1.0})


def test_a_passage_is_cut_at_a_sentence() -> None:
    assert shortened("One two three. Four five six seven", 5) == "One two three."
    assert shortened("One two. Three", 5) == "One two. Three"
    assert shortened("a b c d e f", 3) == "a b c"


def test_no_blank_is_left_where_there_is_no_passage() -> None:
    (prompt,) = service.prompts(["why"], ["Because."], [""])
    assert "Facts: Because.\n" in prompt and "why" in prompt


def written(path, rows: list[list]) -> None:
    pd.DataFrame(rows, columns=["key", *FAULTS]).to_csv(path, index=False)


def test_readings_count_faults_with_exact_intervals(tmp_path) -> None:
    written(tmp_path / "r.csv", [[ANSWERS[0].key, 1, 0, 0, 0, 0, 0], [ANSWERS[1].key, 0, 0, 1, 0, 0, 0]])
    found = read(ANSWERS, tmp_path / "r.csv")
    counted = found.counted().set_index("fault")
    assert found.complete and counted.answers.to_dict() == dict(zip(FAULTS, [1, 0, 1, 0, 0, 0], strict=True))
    assert counted.n.tolist() == [1, 1, 2, 2, 2, 2], "an answer without a template has no wrong intent"
    assert counted.low["unsafe"] == 0 and counted.high["unsafe"] == pytest.approx(1 - 0.025**0.5)
    assert found.by_way()["with a fault"].tolist() == [1, 2]


@pytest.mark.parametrize("part", ["question", "template", "passage", "sentence"])
def test_a_changed_text_is_not_judged(tmp_path, part: str) -> None:
    from dataclasses import replace

    written(tmp_path / "r.csv", [[one.key, 0, 0, 0, 0, 0, 0] for one in ANSWERS])
    changed = replace(ANSWERS[0], **{part: getattr(ANSWERS[0], part) + "."})
    found = read([changed, ANSWERS[1]], tmp_path / "r.csv")
    assert not found.complete and found.unread == 1
    with pytest.raises(Problem, match="not judged"):
        found.counted()


def test_parts_cannot_trade_words() -> None:
    assert Composed("a", "b c", "", "").key != Composed("a b", "c", "", "").key


def test_without_a_file_nothing_is_judged(tmp_path) -> None:
    assert read(ANSWERS, tmp_path / "none.csv").unread == 2


@pytest.mark.parametrize("row", [["k", 2, 0, 0, 0, 0, 0], ["k", None, 0, 0, 0, 0, 0]])
def test_marks_are_0_or_1(tmp_path, row: list) -> None:
    written(tmp_path / "r.csv", [row])
    with pytest.raises(Problem, match="0 or 1"):
        read(ANSWERS, tmp_path / "r.csv")


def test_costs_on_paper() -> None:
    assert cost_of(40, 2, 100, person=4, mistake=20) == 4 * 60 + 20 * 2
    assert cost_of(0, 0, 10, person=4, mistake=20) == 400
    with pytest.raises(Problem):
        cost_of(1, 2, 10, person=4, mistake=20)


def test_the_stored_readings_are_whole() -> None:
    if service.READINGS.exists():
        read(ANSWERS)
        table = pd.read_csv(service.READINGS, dtype=str)
        assert table.notna().all(axis=None) and table.key.str.fullmatch("[0-9a-f]{16}").all()


def test_answers_without_text_are_left_out(tmp_path) -> None:
    lines = [
        '{"question": "a b", "answer": "c"}',
        '{"question": "A  b", "answer": "d"}',
        '{"question": "e", "answer": " "}',
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = read_answered(tmp_path / "x.jsonl")
    assert len(found.questions) == 1 and "2 of 3" in found.notes[0]
