"""What is read from a notebook's file."""

import pytest

from recutils.report.notebooks import discover, read, read_parameters
from recutils.tables import Problem


def test_parameters_with_types_defaults_and_comments():
    text = 'DATASET: str = "ml-100k"  # ml-100k | ml-1m\nTOP_K: int = 10\nRATE = 0.5\n'
    text += "SEEDS: list[int] = [1, 2]\nLIMIT: int | None = None\nDRIFT: float = -1.0"
    found = read_parameters(text, "toy")
    assert list(found) == ["DATASET", "TOP_K", "RATE", "SEEDS", "LIMIT", "DRIFT"]
    assert found["DATASET"].comment == "ml-100k | ml-1m"
    assert found["RATE"].types == ("float",) and found["LIMIT"].types == ("int", "None")
    assert found["DRIFT"].default == -1.0 and found["SEEDS"].default == [1, 2]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("TEXT: str = 'a'", ["b"], [1, None, ["b"]]),
        ("COUNT: int = 1", [5], [5.0, True, "5", None]),
        ("SHARE: float = 0.5", [0.1, 1], [True, "0.1"]),
        ("SWITCH: bool = False", [True], [1, "true"]),
        ("SEEDS: list[int] = [1]", [[], [3]], [[0.5], ["a"], 3, [True]]),
        ("LIMIT: int | None = None", [None, 3], [0.5, "a"]),
        ("PAIR = (1, 2)", [[3, 4], (3, 4)], [3]),
    ],
)
def test_values_are_checked_against_the_type(name, good, bad):
    (parameter,) = read_parameters(name, "toy").values()
    for value in good:
        assert parameter.checked(value, "here") == value
    for value in bad:
        with pytest.raises(Problem, match=r"here: .* must be .* got"):
            parameter.checked(value, "here")


def test_an_int_becomes_a_float_where_a_float_is_wanted():
    (parameter,) = read_parameters("SHARE: float = 0.5", "toy").values()
    assert type(parameter.checked(1, "here")) is float


@pytest.mark.parametrize("text", ["A = 1 + B", "A = B", "import os", "A = B = 1", "A: int", "print(1)", "A = ["])
def test_what_is_no_literal_is_refused(text):
    with pytest.raises(Problem, match="toy"):
        read_parameters(text, "toy")


def test_title_card_and_metadata(build):
    card = "| | |\n|---|---|\n| **Needs** | ml-100k |\n| *Makes* | records |\n| Cost | 3 s |"
    build.notebook("10_data", "1", title="Which data?", card=card, memory_gb=1, after=["*"])
    build.notebook("_template", "1")
    found = discover(build.project)
    assert list(found) == ["10_data"]
    notebook = found["10_data"]
    assert notebook.title == "Which data?" and notebook.needs_all and notebook.memory_gb == 1
    assert notebook.card == {"Needs": "ml-100k", "Makes": "records", "Cost": "3 s"}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"memroy_gb": 1}, "Did you mean memory_gb"),
        ({"minutes": "2"}, "must be int or float"),
        ({"after": "10_a"}, "must be list"),
    ],
)
def test_wrong_metadata_are_refused(build, declared, message):
    path = build.notebook("10_data", "1", **declared)
    with pytest.raises(Problem, match=message):
        read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_file_is_named(build, text):
    path = build.notebook("10_data", "1")
    path.write_text(text)
    with pytest.raises(Problem, match=r"10_data.ipynb is no notebook"):
        read(path)


def test_an_empty_folder_is_named(build):
    with pytest.raises(Problem, match="no notebook"):
        discover(build.project)
