"""Who listened to which artist how often (lastfm-2k), as a data set. Friends and tags are social.py's."""

import csv
from pathlib import Path

import pandas as pd

from recutils.data.fetch import fetch
from recutils.data.load import _cached, _sample
from recutils.data.formats import build_dataset, count
from recutils.tables import ITEM_ID, TITLE, USER_ID, VALUE, Dataset, Problem

NAME = "lastfm-2k"
FILES = ("user_artists.dat", "artists.dat")


def load_listening(*, sample_users: float = 1.0, seed: int = 0) -> Dataset:
    """The counts, fetched, verified and cached. sample_users: the share of people that is kept, drawn with `seed`.

    Where neither mirror nor official source can be reached, `fetch` says so with the cures.
    """
    if not 0 < sample_users <= 1:
        raise Problem(f"sample_users must be a share above 0, at most 1; got {sample_users}")
    folder = fetch(NAME, say=print)
    found = _cached(NAME, [folder / file for file in FILES], lambda: listening(folder))
    return found if sample_users == 1 else _sample(found, sample_users, seed)


def listening(folder: Path) -> Dataset:
    """No time. value = listening count; items are artists, by their name; events and artists in file order.

    An artist's name may stand twice under two ids, with or without a slip.
    """
    listened, artists = (folder / file for file in FILES)
    options = {"sep": "\t", "dtype": str, "keep_default_na": False, "quoting": csv.QUOTE_NONE}
    events = pd.read_csv(listened, header=0, names=[USER_ID, ITEM_ID, VALUE], **options).astype({VALUE: float})
    items = pd.read_csv(artists, header=None, names=[ITEM_ID, TITLE], usecols=[0, 1], encoding="utf-8", **options)
    longest = int(events.groupby(USER_ID).size().max())
    notes = [
        f"{count(len(events), 'listening count')} read; nobody has more than {longest} artists, since only each "
        "person's most listened ones were collected.",
    ]
    return build_dataset(NAME, events, {"items": items}, explicit=False, notes=notes)
