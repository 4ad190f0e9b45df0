"""Films joined to tmdb-5000 by title and year: plots for MovieLens. Votes and revenue are read for one lesson only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.data.formats import count
from recutils.data.prepare import normal_title, title_key
from recutils.tables import ITEM_ID, TITLE, Dataset, Problem, check_columns

FILE = "movies.csv"
PLOT, JOINED, VOTES = "plot", "joined", "later_votes"


def tmdb(folder: Path | None = None) -> pd.DataFrame:
    """The films of tmdb-5000, in file order: key (normalised title), year (Int64), plot ("" if none), votes (int).

    folder: where movies.csv lies; None fetches it (`recutils.data.fetch`). It holds no ratings of single people, so
    `load` does not read it. Raises Problem for a file without the expected columns.
    """
    if folder is None:
        from recutils.data.fetch import fetch

        folder = fetch("tmdb-5000", say=print)
    films = pd.read_csv(folder / FILE, dtype=str, keep_default_na=False)
    check_columns(films, [TITLE, "release_date", "overview", "vote_count"], f"tmdb-5000 {FILE}")
    year = pd.to_numeric(films["release_date"].str[:4], errors="coerce").astype("Int64")
    votes = pd.to_numeric(films["vote_count"], errors="coerce").fillna(0).astype(int)
    keys = [title_key(title) for title in films[TITLE]]
    return pd.DataFrame({"key": keys, "year": year, PLOT: films["overview"].str.strip(), "votes": votes})


def film_keys(items: pd.DataFrame) -> pd.MultiIndex:
    """(key, year) of each film, in row order: "Matrix, The (1999)" and "The Matrix" of 1999 are one; year 0: unknown.

    The year is that of the column, else the one that the title or the id carries in brackets.
    """
    titles = [normal_title(title) for title in items[TITLE]]
    years = pd.Series([title.year for title in titles], index=items.index, dtype="Int64")
    if "year" in items:
        years = pd.to_numeric(items["year"], errors="coerce").astype("Int64").fillna(years)
    years = years.fillna(pd.Series([normal_title(text).year for text in items[ITEM_ID]], items.index, dtype="Int64"))
    keys = [title_key(title) for title in items[TITLE]]
    return pd.MultiIndex.from_arrays([keys, years.fillna(0).to_numpy(dtype=np.int64)])


def with_plots(dataset: Dataset, *, folder: Path | None = None) -> Dataset:
    """The data set with items.plot (text, "" where missing), joined (bool) and later_votes (0 where not joined).

    Joins by title and year; a title and year that tmdb-5000 holds twice join nothing. Neither `joined` nor
    `later_votes` may be a feature of a new film: both tell how well known it became. Raises Problem when no item
    joins, as these are then no films, or lack years.
    """
    films = tmdb(folder)
    films = films[films["year"].notna() & (films["key"] != "")].drop_duplicates(["key", "year"], keep=False)
    known = films.set_index(pd.MultiIndex.from_arrays([films["key"], films["year"].astype(np.int64)]))
    place = known.index.get_indexer(film_keys(dataset.items))
    joined = place >= 0
    if not joined.any():
        raise Problem(f"{dataset.name}: no item joins tmdb-5000 by title and year. Expected films with a year.")
    plots = np.where(joined, known[PLOT].to_numpy(dtype=object)[place], "")
    votes = np.where(joined, known["votes"].to_numpy()[place], 0)
    items = dataset.items.assign(**{PLOT: pd.array(plots, dtype="str"), JOINED: joined, VOTES: votes})
    share = joined[dataset.interactions.item].mean() if len(dataset.interactions) else 0.0
    note = f"{count(int(joined.sum()), 'item')} of {len(items):,} join tmdb-5000; they hold {share:.0%} of the events."
    return replace(dataset, items=items, notes=(*dataset.notes, note))
