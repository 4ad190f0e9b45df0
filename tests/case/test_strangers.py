"""Real ratings written in seven awkward styles: what comes back is what was written, or is refused with a reason."""

import numpy as np
import pytest

from recutils.case.own import answer, opened
from recutils.case.strangers import STYLES, rewrite
from recutils.data.load import load
from recutils.data.prepare import compact
from recutils.tables import Problem

MUTE = "Names that say nothing"


@pytest.fixture(scope="module")
def real():
    """A few people of ml-100k with their films: real titles, with their accents."""
    data = load("ml-100k", sample_users=0.02, seed=3)
    return compact(data, data.interactions)


@pytest.mark.parametrize("name", [name for name in STYLES if name != MUTE])
def test_what_a_stranger_wrote_is_read_back(real, tmp_path, name):
    style = STYLES[name]
    found = opened(rewrite(real, tmp_path / "shop", style), tmp_path / "kept").dataset
    wanted, got = (
        {(u, i): v for u, i, v in zip(d.user_ids.ids(d.interactions.user), d.item_ids.ids(d.interactions.item),
                                      d.interactions.value, strict=True)}
        for d in (real, found)
    )  # fmt: skip
    assert set(got) == set(wanted), "each pair once, and no other"
    if "value" in style.columns:
        assert got == wanted
    if "time" in style.columns:
        times = {"%d/%m/%Y", "%d-%m-%Y"} & {style.dates}
        ours, theirs = (np.sort(d.interactions.time.to_numpy()) for d in (real, found))
        unit = "datetime64[D]" if times else "datetime64[s]"
        assert (ours.astype(unit) == theirs.astype(unit)).all()
    if "title" in style.item_columns:
        titles = dict(zip(real.items.item_id, real.items.title, strict=True))
        assert dict(zip(found.items.item_id, found.items.title, strict=True)) == titles, "accents survive"


def test_columns_without_names_are_refused_with_the_doubts_and_the_file_to_correct(real, tmp_path):
    folder = rewrite(real, tmp_path / "shop", STYLES[MUTE])
    with pytest.raises(Problem, match="unsure guesses are not acted on") as caught:
        opened(folder, tmp_path / "kept")
    assert "dataset.toml" in str(caught.value) and (tmp_path / "kept" / "dataset.toml").is_file()
    assert not (folder / "dataset.toml").exists(), "nothing is written into the owner's folder"
    assert answer(folder, tmp_path / "kept").startswith("shop: unsure")


def test_a_corrected_proposal_in_the_folder_ends_the_guessing(real, tmp_path):
    folder = rewrite(real, tmp_path / "shop", STYLES["German shop"])
    said = opened(folder, tmp_path / "kept").said
    (folder / "dataset.toml").write_text(said.read_text(encoding="utf-8"), encoding="utf-8")
    again = opened(folder, tmp_path / "other")
    assert again.proposal is None and len(again.dataset.interactions) == len(real.interactions)


def test_damage_is_counted(real, tmp_path):
    folder = rewrite(real, tmp_path / "shop", STYLES["German shop"])
    told = " ".join(opened(folder, tmp_path / "kept").dataset.notes)
    assert "6 broken records" in told and "3 rows left out, value unreadable" in told
    assert "3 rows left out, time unreadable, such as '31.02.2001'" in told and "merged by the rule 'last'" in told


def test_a_style_with_dates_needs_times(real, tmp_path):
    from recutils.tables import Interactions

    rows = real.interactions.rows.drop(columns="time")
    timeless = type(real)("x", Interactions(rows, len(real.users), len(real.items)), real.users, real.items, True)
    with pytest.raises(Problem, match="has no times"):
        rewrite(timeless, tmp_path / "shop", STYLES["German shop"])
