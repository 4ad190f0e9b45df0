"""One small reader for each data set's own files, and `build_dataset`. No downloads and no caching."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from recutils.data.twins import without_copies
from recutils.tables import ITEM, ITEM_ID, TIME, TITLE, USER, USER_ID, VALUE, Dataset, Ids, Interactions, Problem

FILES: dict[str, tuple[str, ...]] = {  # what each reader opens, inside the fetched folder
    "ml-100k": ("ml-100k.inter", "ml-100k.item", "ml-100k.user"),
    "ml-1m": ("ml-1m.inter", "ml-1m.item", "ml-1m.user"),
    "online-retail": ("Online_Retail_Grouped.csv",),
    "articles": ("user-item-interactions.csv", "articles_community.csv"),
    "book-crossing": ("BX-Book-Ratings.csv", "BX-Books.csv", "BX-Users.csv"),
    "lastfm-2k": ("user_artists.dat", "artists.dat"),
}
NOT_PRODUCTS = (  # charges and services in online-retail, found by reading all titles
    "Bank Charges", "CARRIAGE", "CRUK Commission", "DOTCOM POSTAGE", "Discount",
    "High Resolution Image", "Manual", "Next Day Carriage", "PACKING CHARGE", "POSTAGE",
)  # fmt: skip
# some titles of articles are printed pandas rows: their number before, this line after
PRINTED_SERIES = re.compile(r"^\d+\s{2,}|\s*Name: title, dtype: object\s*$")


def count(n: int, noun: str) -> str:
    """`1 film`, `2 films`: a count with its noun, thousands separated."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _append_missing(table: pd.DataFrame, column: str, seen: pd.Series) -> tuple[pd.DataFrame, int]:
    """The table with one more row for each id that only the events know, as they first appear; and how many."""
    known = set(table[column])
    extra = [value for value in seen.unique() if value not in known]
    if not extra:
        return table, 0
    grown = pd.concat([table, pd.DataFrame({column: extra})], ignore_index=True)
    text = [name for name in table.columns if pd.api.types.is_string_dtype(table[name])]
    return grown.fillna(dict.fromkeys(text, "")), len(extra)


def build_dataset(
    name: str, events: pd.DataFrame, tables: dict[str, pd.DataFrame], *, explicit: bool, notes: list[str]
) -> Dataset:
    """A Dataset from external ids.

    events: user_id and item_id (text), value, perhaps time, in file order. tables: "items" (item_id, title, ...) and
    perhaps "users"; their row order becomes the row numbers. Ids that only the events know are appended (title "") and
    noted.
    """
    users = tables.get("users", pd.DataFrame({USER_ID: events[USER_ID].unique()}))
    users, new_users = _append_missing(users.reset_index(drop=True), USER_ID, events[USER_ID])
    items, new_items = _append_missing(tables["items"].reset_index(drop=True), ITEM_ID, events[ITEM_ID])
    if new_users:
        notes = [*notes, f"{count(new_users, 'user')} only in the interactions, not in the user table; kept."]
    if new_items:
        notes = [*notes, f"{count(new_items, 'item')} only in the interactions; kept with an empty title."]
    rows = events.drop(columns=[USER_ID, ITEM_ID])
    rows[USER] = Ids(users[USER_ID]).rows(events[USER_ID])
    rows[ITEM] = Ids(items[ITEM_ID]).rows(events[ITEM_ID])
    return Dataset(name, Interactions(rows, len(users), len(items)), users, items, explicit, tuple(notes))


def read_atomic(path: Path) -> pd.DataFrame:
    """A RecBole atomic file: tab separated, header cells `name:type` (the types are cut off), quotes mean nothing.

    token and token_seq become text, float becomes float64 (empty cells NaN). Raises Problem for a header without types.
    """
    with path.open(encoding="utf-8") as stream:
        header = stream.readline().rstrip("\r\n").split("\t")
    if not all(":" in cell for cell in header):
        raise Problem(f"{path.name}: expected header cells like 'user_id:token'; got {header}. Fetch the file again.")
    types = {cell: float if cell.endswith(":float") else str for cell in header}
    missing = {cell: [""] for cell, kind in types.items() if kind is float}
    table = pd.read_csv(path, sep="\t", dtype=types, quoting=csv.QUOTE_NONE, keep_default_na=False, na_values=missing)
    return table.rename(columns=lambda cell: cell.split(":")[0])


def _movielens(folder: Path, name: str, prefix: str) -> Dataset:
    """Ratings, films and people of a MovieLens set in atomic files; `prefix` is cut off the user ids."""
    events = read_atomic(folder / f"{name}.inter").rename(columns={"rating": VALUE, "timestamp": TIME})
    users = read_atomic(folder / f"{name}.user").rename(columns={"zip_code": "zip"})
    films = read_atomic(folder / f"{name}.item").rename(columns={"movie_title": TITLE, "class": "genre"})
    events[USER_ID], users[USER_ID] = (table[USER_ID].str.removeprefix(prefix) for table in (events, users))
    events[TIME] = events[TIME].astype(np.int64).astype("datetime64[s]")
    users["age"] = users["age"].astype(int)
    year = pd.to_numeric(films["release_year"], errors="coerce").astype("Int64")
    genres = films["genre"].str.split().str.join(", ").astype("str")
    items = pd.DataFrame({ITEM_ID: films[ITEM_ID], TITLE: films[TITLE].str.strip(), "year": year, "genres": genres})
    notes = [f"{count(int(year.isna().sum()), 'film')} without a year."] if year.isna().any() else []
    unrated = len(items) - events[ITEM_ID].nunique()
    notes += [f"{count(unrated, 'film')} without a rating."] if unrated else []
    return build_dataset(name, events, {"users": users, "items": items}, explicit=True, notes=notes)


def ml_100k(folder: Path) -> Dataset:
    """MovieLens-100K: ratings in the row order of u.data, items and users in numeric order, titles like "Net, The"."""
    return _movielens(folder, "ml-100k", "")


def ml_1m(folder: Path) -> Dataset:
    """MovieLens-1M: ratings in the row order of ratings.dat; item_id is "Title (Year)"; films without ratings are kept.

    age is the lower bound of a bracket and occupation a code, as published.
    """
    dataset = _movielens(folder, "ml-1m", "1m_")
    dataset.users["occupation"] = dataset.users["occupation"].astype(int).astype(str)
    return dataset


def online_retail(folder: Path) -> Dataset:
    """Which customer ever bought which product: one line per customer, one title per cell; no time, price or quantity.

    user_id is the line number, item_id the title without outer spaces, items in alphabetical order (first appearance
    would follow popularity). Charges such as POSTAGE are dropped and counted.
    """
    with (folder / FILES["online-retail"][0]).open(encoding="utf-8", newline="") as stream:
        baskets = [[title.strip() for title in line] for line in csv.reader(stream)]
    pairs = [(str(number), title) for number, basket in enumerate(baskets, 1) for title in basket]
    events = pd.DataFrame(pairs, columns=[USER_ID, ITEM_ID])
    unique = events.drop_duplicates()
    kept = unique[~unique[ITEM_ID].isin(NOT_PRODUCTS)].reset_index(drop=True)
    n_merged, n_charges = len(events) - len(unique), len(unique) - len(kept)
    n_gone = len(baskets) - kept[USER_ID].nunique()
    notes = [
        "The package that carries these baskets calls them synthetic; size and titles are those of UCI Online Retail.",
        f"{count(len(baskets), 'customer')} and {count(len(events), 'pair')} read; {count(n_merged, 'pair')} merged "
        "that differed in outer spaces.",
        f"{count(n_charges, 'pair')} with {len(NOT_PRODUCTS)} charges that are no products (POSTAGE, Manual, Discount "
        f"...) dropped, and with them {count(n_gone, 'customer')} who had nothing else.",
    ]
    titles = sorted(kept[ITEM_ID].unique())
    items = pd.DataFrame({ITEM_ID: titles, TITLE: titles})
    return build_dataset("online-retail", kept.assign(**{VALUE: 1.0}), {"items": items}, explicit=False, notes=notes)


def articles(folder: Path) -> Dataset:
    """Who read which article how often; no time. One row per pair in order of its first view, value = number of views.

    Titles are lower-cased also where the article's own page gives capitals, so that case does not tell which have a
    body.
    """
    views, pages = (pd.read_csv(folder / file, dtype=str, keep_default_na=False) for file in FILES["articles"])
    pages = pages.drop_duplicates("article_id")
    views["article_id"] = views["article_id"].str.removesuffix(".0")
    named = views[views["email"] != ""]
    counts = named.groupby(["email", "article_id"], sort=False).size().rename(VALUE).reset_index()
    items = _article_items(views, pages)
    n_bodies, n_unseen = int((items["body"] != "").sum()), len(set(pages["article_id"]) - set(items[ITEM_ID]))
    notes = [
        f"{count(len(views), 'view')} read; {len(views) - len(named)} without a reader dropped, the others make "
        f"{count(len(counts), 'pair')} of reader and article; value = number of views.",
        f"{n_bodies} of {len(items)} articles with a body; {count(n_unseen, 'page')} that nobody viewed left out.",
    ]
    events = counts.rename(columns={"email": USER_ID, "article_id": ITEM_ID})
    return build_dataset("articles", events, {"items": items}, explicit=False, notes=notes)


def articles_once(folder: Path) -> Dataset:
    """`articles` without the copy of its readers under other ids that ends the file: what `load` gives."""
    return without_copies(articles(folder))


def _article_items(views: pd.DataFrame, pages: pd.DataFrame) -> pd.DataFrame:
    """item_id, title, description, body of every viewed article, by ascending id; "" where the page is not at hand."""
    seen = views.drop_duplicates("article_id").set_index("article_id")["title"]
    seen = seen.loc[sorted(seen.index, key=int)].str.replace(PRINTED_SERIES, "", regex=True)
    found = pages.set_index("article_id").reindex(seen.index)
    titles = found["doc_full_name"].str.lower().fillna(seen).str.strip()
    fields = {TITLE: titles, "description": found["doc_description"].fillna(""), "body": found["doc_body"].fillna("")}
    return pd.DataFrame(fields).rename_axis(ITEM_ID).reset_index()


def book_crossing(folder: Path) -> Dataset:
    """Ratings 1-10 of books; value 0 marks an event without an opinion: dropped and counted. No time, no genres.

    Books and users without a rating are left out; books stand in the order of the book table, then those that only
    ratings know (no title). A year of 0 is missing; ages are as given, from 0 to 244. Thin it with `prepare.k_core`.
    """
    ratings, books, users = (folder / file for file in FILES["book-crossing"])
    events = _semicolons(ratings, [USER_ID, ITEM_ID, VALUE]).astype({VALUE: float})
    rated = events[events[VALUE] > 0].reset_index(drop=True)
    items = _semicolons(books, [ITEM_ID, TITLE, "author", "year", "publisher", "image", "image_m", "image_l"])
    n_escaped = sum(b'\\"' in line for line in books.read_bytes().splitlines())
    year = pd.to_numeric(items["year"], errors="coerce").astype("Int64").replace(0, pd.NA)
    items = items[[ITEM_ID, TITLE, "author", "publisher"]].assign(year=year)
    people = _semicolons(users, [USER_ID, "location", "age"])
    people["age"] = pd.to_numeric(people["age"], errors="coerce").astype("Int64")
    kept = {"items": (items, ITEM_ID), "users": (people, USER_ID)}
    tables = {name: table[table[column].isin(set(rated[column]))] for name, (table, column) in kept.items()}
    notes = [
        f"{count(len(events), 'event')} read; {count(len(events) - len(rated), 'event')} of value 0, which is no "
        f"rating, dropped; {count(len(items) - len(tables['items']), 'book')} that nobody rated left out.",
        f"{count(n_escaped, 'line')} of the book table hold quotes inside a cell, behind a backslash; a reader that "
        "does not know of it loses some of them.",
    ]
    return build_dataset("book-crossing", rated, tables, explicit=True, notes=notes)


def _semicolons(path: Path, names: list[str]) -> pd.DataFrame:
    """A latin-1 table with ; between cells, the header's names replaced; every cell is text, quotes cut off."""
    options = {"encoding": "latin-1", "dtype": str, "keep_default_na": False, "escapechar": "\\"}
    return pd.read_csv(path, sep=";", header=0, names=names, **options)


def lastfm_2k(folder: Path) -> Dataset:
    """No time. value = listening count; items are artists, by their name; events and artists in file order.

    An artist's name may stand twice under two ids, with or without a slip.
    """
    listened, artists = (folder / file for file in FILES["lastfm-2k"])
    options = {"sep": "\t", "dtype": str, "keep_default_na": False, "quoting": csv.QUOTE_NONE}
    events = pd.read_csv(listened, header=0, names=[USER_ID, ITEM_ID, VALUE], **options).astype({VALUE: float})
    items = pd.read_csv(artists, header=None, names=[ITEM_ID, TITLE], usecols=[0, 1], encoding="utf-8", **options)
    longest = int(events.groupby(USER_ID).size().max())
    notes = [
        f"{count(len(events), 'listening count')} read; nobody has more than {longest} artists, since only each "
        "person's most listened ones were collected.",
    ]
    return build_dataset("lastfm-2k", events, {"items": items}, explicit=False, notes=notes)


PARSERS: dict[str, Callable[[Path], Dataset]] = {
    "ml-100k": ml_100k,
    "ml-1m": ml_1m,
    "online-retail": online_retail,
    "articles": articles_once,
    "book-crossing": book_crossing,
    "lastfm-2k": lastfm_2k,
}
AS_PUBLISHED: dict[str, Callable[[Path], Dataset]] = {"articles": articles}  # where `load` leaves out copies of people
