"""The written pages: links lead somewhere, the glossary is in order, READMEs and course tell of what there is."""

import re
from pathlib import Path

import pytest

from recutils.report.articles import NOTEBOOK

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob("README*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "notebooks" / "README.md",
    ROOT / "data" / "README.md",
    ROOT / "reports" / "README.md",
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(make|python|papermill|pytest|conda|pip|git|jupyter)\b")
STARTS = r"`(\d\d_[a-z_]+)`( \(planned\))?"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def written(path: Path) -> str:
    """The text without the generated tables."""
    return re.sub(r"<!-- (\w+):start -->.*<!-- \1:end -->", "", path.read_text(encoding="utf-8"), flags=re.S)


def prose(path: Path) -> str:
    """The text without blocks of code."""
    return re.sub(r"^```.*?^```", "", written(path), flags=re.S | re.M)


def anchors(path: Path) -> set[str]:
    """Anchors of the headings, as code hosts make them."""
    found: list[str] = []
    for title in re.findall(r"^#+ (.+)$", prose(path), flags=re.M):
        stem = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        number = sum(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", other) is not None for other in found)
        found.append(f"{stem}-{number}" if number else stem)
    return set(found)


def commands(path: Path) -> list[str]:
    """Commands in blocks of shell and between backticks, without comments, in order."""
    text = written(path)
    blocks = [
        line for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.S | re.M) for line in block.splitlines()
    ]
    inline = re.findall(r"`([^`\n]+)`", prose(path))
    return [clean for line in [*blocks, *inline] if COMMAND.match(clean := line.split("  #")[0].strip())]


@each_page
def test_links_lead_to_files_and_sections_that_exist(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists() and file.is_relative_to(ROOT), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(file), f"{target}: sections are {sorted(anchors(file))}"


def test_anchors_are_those_of_code_hosts(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# The `one`: a & b\n```\n# no heading\n```\n## Again\n## Again\n## 术语表（中英）\n", encoding="utf-8"
    )
    assert anchors(path) == {"the-one-a--b", "again", "again-1", "术语表中英"}


def test_both_readmes_name_the_same_commands_and_links() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    wanted, found = sorted(set(commands(english))), sorted(set(commands(chinese)))
    assert wanted == found and len(wanted) >= 10
    outside = [{link for link in LINK.findall(prose(page)) if link.startswith("http")} for page in (english, chinese)]
    assert outside[0] <= outside[1] and "README.zh-CN.md" not in commands(english)


def test_both_readmes_have_the_same_parts() -> None:
    parts = [re.findall(r"^#+ ", prose(ROOT / name), flags=re.M) for name in ("README.md", "README.zh-CN.md")]
    assert parts[0] == parts[1], "a section was added to one README only"


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    named = [command.split() for page in PAGES for command in commands(page) if command.startswith("make ")]
    unknown = {words[1] for words in named if re.fullmatch(r"[a-z-]+", words[1])} - targets
    assert not {name for name in unknown if not name.startswith("extra-")}


def glossary() -> list[tuple[str, ...]]:
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("| ")]
    return rows[1:]


def test_the_glossary_is_sorted_and_without_duplicates() -> None:
    terms = [row[0].casefold() for row in glossary()]
    assert terms == sorted(terms) and len(set(terms)) == len(terms) >= 80
    chinese = [row[1] for row in glossary()]
    assert len(set(chinese)) == len(chinese)


def test_each_term_has_a_chinese_name_and_one_english_sentence() -> None:
    for row in glossary():
        assert len(row) == 3, row
        assert re.search(r"[\u4e00-\u9fff]", row[1]), row
        assert re.fullmatch(r"[^\u4e00-\u9fff]+\.", row[2]) and len(row[2]) <= 100, row


def test_the_course_names_notebooks_that_exist_or_are_marked_planned() -> None:
    here = {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    numbers = {name[:2]: name for name in here}
    named = re.findall(STARTS, (ROOT / "docs" / "course.md").read_text(encoding="utf-8"))
    assert len(named) >= 15
    for name, planned in named:
        assert NOTEBOOK.fullmatch(name), f"{name} is not named like a notebook"
        assert numbers.get(name[:2], name) == name, f"{name} is called {numbers[name[:2]]} now"
        assert (name in here) != bool(planned), f"{name} {'exists: take away' if planned else 'lacks'} (planned)"


@pytest.mark.parametrize("weeks", [6, 12])
def test_the_course_has_a_row_for_each_week(weeks: int) -> None:
    text = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
    part = re.split(r"^## ", text, flags=re.M)[2 if weeks == 6 else 3]
    rows = re.findall(r"^\| (\d+) \|(.+)\|$", part, flags=re.M)
    assert [int(week) for week, _ in rows] == list(range(1, weeks + 1))
    assert all(cells.count("|") == 3 and "_" in cells for _, cells in rows), "question, notebooks, exercise, mark"
