"""The map of the articles is complete, honest about what exists, and every error in it is asserted in the notebook."""

import json
import re
from pathlib import Path

import pytest

from recutils import present
from recutils.report import articles
from recutils.tables import Problem

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SYSTEMS = [f"{kind}{number}" for kind, last in (("M", 27), ("T", 11), ("C", 12)) for number in range(1, last + 1)]
LISTING = """
00_start_here 02_start_articles 10_data_prepare 11_data_split 20_encode_items 21_encode_users 22_encode_graph
23_encode_generated 24_encode_choices 30_model_baselines 31_model_svd 32_model_als 33_model_content 34_model_sequence
35_model_network 36_model_semantic 37_model_debias 38_model_items 39_model_tuning 40_tune_encoder 41_tune_adapters
42_tune_scenarios 43_tune_decoder 44_tune_few_labels 45_tune_domain 46_tune_remedies 47_tune_pairs 50_rank_hybrid
51_rank_diversity 52_rank_business
53_rank_cold_start 54_rank_cascade 55_rank_search 56_rank_fusion 57_rank_new_users 58_rank_rules 60_evaluate_compare
61_evaluate_slices 62_evaluate_published 63_evaluate_policies 64_evaluate_online 65_evaluate_pitfalls
70_deploy_compress 71_deploy_serve 72_deploy_monitor 73_deploy_scale 74_deploy_students
75_trust_privacy 76_trust_fairness
77_trust_explain 78_trust_robust 79_trust_filter 80_case_products 81_case_search 82_case_news 83_case_ads
84_case_movies 85_case_music 86_case_social 87_case_service 88_case_finance 89_case_health 90_case_your_data
99_report_summary
""".split()
SMALL = """
articles = [{ short = "A", title = "An article" }, { short = "B", title = "Another" }]
loop = [{ step = "data", stage = "data" }]
[[themes]]
theme = "One"
systems = [
  { id = "M1", system = "I", from = "A B", notebooks = ["10_data_here", "11_data_absent"], fate = "kept", note = "x" },
  { id = "M2", system = "Second", from = "all", notebooks = ["10_data_here"], fate = "kept", note = "so" },
  { id = "M3", system = "Third", from = "practice", notebooks = ["11_data_absent"], fate = "added", note = "new" },
]
[[faults]]
group = "Sums"
errors = [{ id = "E01", from = "A", fault = "1 + 1 = 3", holds = "2", shown = "a sum" }]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a small map and one of its two notebooks."""
    (tmp_path / "articles.toml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "10_data_here.ipynb").write_text("{}", encoding="utf-8")
    return tmp_path


def changed(folder: Path, old: str, new: str) -> Path:
    """The folder with one text of its map replaced."""
    assert old in SMALL
    (folder / "articles.toml").write_text(SMALL.replace(old, new), encoding="utf-8")
    return folder


def code_of_notebook() -> str:
    cells = json.loads((NOTEBOOKS / "02_start_articles.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_every_system_appears_once() -> None:
    assert sorted(articles.read(NOTEBOOKS).systems.id) == sorted(SYSTEMS)


def test_the_five_articles_are_named_by_title() -> None:
    found = articles.read(NOTEBOOKS).articles
    assert list(found.short) == ["D1", "B", "S", "M", "D2"]
    text = (NOTEBOOKS / "02_start_articles.ipynb").read_text(encoding="utf-8")
    missing = [title for title in found.title if title.removesuffix(" (I)").removesuffix(" (II)") not in text]
    assert not missing


def test_named_notebooks_belong_to_the_listing() -> None:
    text = ", ".join(articles.read(NOTEBOOKS).systems.notebooks)
    named = set(re.findall(r"\d\d_\w+", text))
    assert all(articles.NOTEBOOK.fullmatch(name) for name in LISTING)
    assert named <= set(LISTING), named - set(LISTING)


def test_fates_name_errors_that_exist() -> None:
    found = articles.read(NOTEBOOKS)
    assert set(re.findall(r"E\d\d", " ".join(found.systems.note))) <= set(found.errors.id)


def test_errors_are_numbered_and_each_is_asserted_in_the_notebook() -> None:
    ids = list(articles.read(NOTEBOOKS).errors.id)
    assert ids == [f"E{number:02d}" for number in range(1, len(ids) + 1)]
    tagged = [line for line in code_of_notebook().splitlines() if re.search(r"#( E\d\d)+$", line)]
    assert all(line.startswith("assert ") for line in tagged)
    assert sorted(re.findall(r"E\d\d", " ".join(line.rpartition("#")[2] for line in tagged))) == ids


def test_a_table_of_the_notebook_never_exceeds_twelve_rows() -> None:
    found = articles.read(NOTEBOOKS)
    assert max(found.systems.groupby("theme").size().max(), found.errors.groupby("group").size().max()) <= 12


def test_every_stage_of_the_loop_is_a_stage() -> None:
    assert set(articles.read(NOTEBOOKS).loop.stage) <= set(articles.STAGES)


def test_status_is_looked_up_in_the_folder(small: Path) -> None:
    systems = articles.read(small).systems.set_index("id")
    assert systems.status.to_dict() == {"M1": "in part", "M2": "here", "M3": "planned"}
    assert systems.notebooks["M1"] == "10_data_here, 11_data_absent (planned)"
    assert systems.notebooks["M3"] == "11_data_absent"
    (small / "11_data_absent.ipynb").write_text("{}", encoding="utf-8")
    assert set(articles.read(small).systems.status) == {"here"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"11_data_absent"]', '"11_stuff"]', r"\['11_stuff'\] should look like 31_model_svd"),
        ('id = "M2"', 'id = "M1"', r"\['M1'\] occur twice"),
        ('from = "A B"', 'from = "A Z"', "from = 'A Z'"),
        ('fate = "added"', 'fate = ""', "none empty"),
        ('fate = "added"', 'fate = "forgotten"', "fate = 'forgotten'; use one of"),
        (', holds = "2"', "", "expected .*holds"),
        ("loop =", "lop =", "'loop' is missing"),
        ("[[themes]]", "[[themes]", "must be a TOML file"),
    ],
)
def test_a_wrong_map_says_what_to_mend(small: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        articles.read(changed(small, old, new))


def test_each_article_has_a_fault_that_stops_its_program() -> None:
    found = articles.read(NOTEBOOKS)
    stopping = " ".join(found.errors.query("group == 'Programs that stop'").article).split()
    assert set(found.articles.short) <= set(stopping)


def test_systems_and_errors_are_counted_by_article(small: Path) -> None:
    counted = articles.read(small).counted().set_index("short")
    assert counted.systems.to_dict() == {"A": 2, "B": 2} and counted.errors.to_dict() == {"A": 1, "B": 0}


def test_a_computed_value_stands_beside_its_error(small: Path) -> None:
    found = articles.read(small)
    assert found.beside({"E01": "2.0"}).iloc[0].to_list() == ["E01", "A", "1 + 1 = 3", "2", "2.0", "a sum"]
    with pytest.raises(Problem, match=r"no error \['E99'\]"):
        found.beside({"E99": "1"})


def test_a_missing_map_says_so(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="Restore it"):
        articles.read(tmp_path)


def test_the_loop_is_drawn_with_every_step_and_closes() -> None:
    loop = articles.read(NOTEBOOKS).loop
    _, ax = present.figure()
    articles.draw_loop(ax, loop)
    boxes = [text for text in ax.texts if text.get_text()]
    arrows = [text for text in ax.texts if not text.get_text()]
    assert [text.get_text().split("\n")[0] for text in boxes] == list(loop.step)
    assert len(arrows) == len(loop) and arrows[-1].xy[0] < arrows[-1].xyann[0]
