"""The page in a real browser: it asks when it opens, shows what comes, and says what goes wrong."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recutils.deploy.routes import PAGE, PARTS
from recutils.deploy.running import Running, running
from recutils.deploy.shelf import Shelf
from tests.conftest import made
from tests.deploy.test_engine import bundle

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=6000",
]  # fmt: skip
real_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH: the page is not opened in a browser")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    import pandas as pd

    from recutils.tables import Dataset

    events = made()
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(events.n_users)]})
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(events.n_items)], "title": "thing"})
    found = bundle(Dataset("planted", events, users, items, explicit=True), texts=False)
    wild = found.items.assign(title=[f"<b id=wild>{title}</b>" for title in found.items.title])
    shelf = Shelf(tmp_path_factory.mktemp("page") / "shelf")
    shelf.publish(replace(found, items=wild, data={"name": "my_shop"}))
    with running(shelf) as started:
        yield started


def opened(service: Running, address: str, tmp_path: Path) -> str:
    """What stands on the page after it came to rest."""
    command = [BROWSER, *QUIET, f"--user-data-dir={tmp_path}", "--dump-dom", f"{service.url}/{address}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@real_browser
def test_a_link_opens_with_its_list_and_titles_stay_text(service: Running, tmp_path: Path) -> None:
    page = opened(service, "#user=u3", tmp_path)
    assert page.count("<tr>") == 11 and "Found by: personal (bundle" in page
    assert "&lt;b id=wild&gt;" in page and "<b id=wild>" not in page and '<b id="wild">' not in page
    assert "ease on my_shop (40 people, 30 items), bundle " in page and " is served; texts are met by words." in page


@real_browser
def test_examples_come_from_the_bundle_and_are_answered(service: Running, tmp_path: Path) -> None:
    page = opened(service, "#items=", tmp_path)
    assert re.search(r"With commas between them, such as i\d+, i\d+<", page) and "Found by: personal (bundle" in page


@real_browser
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("#user=nobody", "nobody is known as 'nobody': these are the most popular items"),
        ("#similar=gone", "No list: item 'gone' is not in the catalogue of 30 items. (see the catalogue: /v1/search)"),
        ("#user=%E0%A4%A", "The person's id"),
    ],
)
def test_what_is_unknown_is_said(service: Running, tmp_path: Path, address: str, said: str) -> None:
    assert said in opened(service, address, tmp_path)


def test_the_page_brings_all_it_needs_and_holds_no_code_in_its_text() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert "http://" not in text and "https://" not in text and "<style" not in text and " style=" not in text
    assert text.count("<script") == 1 and not any(f" on{event}=" in text for event in ("click", "submit", "load"))
    asked = {word.split('"')[0] for word in text.split('"/page/')[1:]}
    assert asked == set(PARTS) and all((PAGE / name).is_file() for name in PARTS)
    code = (PAGE / "app.js").read_text(encoding="utf-8")
    assert "star wars" not in code and "181" not in code, "examples come from the bundle"
    assert "innerHTML" not in code and "eval(" not in code and "localStorage" not in code
