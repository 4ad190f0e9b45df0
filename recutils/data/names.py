"""What people call their columns, and how much a name speaks for one of ours. Cells are not looked at (guess.py)."""

import difflib
import re
from collections.abc import Sequence

from recutils.tables import ITEM_ID, TIME, TITLE, USER_ID, VALUE

WORDS: dict[str, tuple[str, ...]] = {  # what people call a column, in some languages; letters and digits alone count
    USER_ID: (
        "user", "userid", "customer", "customerid", "client", "clientid", "buyer", "member", "memberid",
        "reader", "visitor", "person", "account", "uid", "kunde", "kundennr", "kundennummer", "leser",
        "nutzer", "utilisateur", "lecteur", "cliente", "usuario", "gebruiker", "klant", "viewer", "profile",
    ),
    ITEM_ID: (
        "item", "itemid", "product", "productid", "sku", "article", "articleid", "isbn", "asin", "movie",
        "movieid", "film", "filmid", "book", "bookid", "id", "code", "ref", "reference", "artikel",
        "artikelnr", "artikelnummer", "produkt", "buch", "livre", "produit", "producto", "stockcode",
        "track", "song", "titelnr",
    ),
    VALUE: (
        "value", "rating", "stars", "score", "quantity", "qty", "count", "points", "grade", "weight",
        "plays", "bewertung", "sterne", "note", "punkte", "menge", "anzahl", "valoracion", "puntuacion",
        "cijfer", "etoiles", "bookrating",
    ),
    TIME: (
        "time", "timestamp", "date", "datetime", "when", "day", "created", "createdat", "bought",
        "boughtat", "datum", "zeit", "zeitpunkt", "tag", "wann", "fecha", "dia", "jour", "quand",
    ),
    TITLE: (
        "title", "name", "productname", "itemname", "label", "titel", "bezeichnung", "produktname", "titre",
        "nom", "titulo", "nombre", "naam", "booktitle", "movietitle",
    ),
    "genres": ("genres", "genre", "category", "categories", "kategorie", "gattung", "categorie", "categoria", "tags"),
    "year": ("year", "jahr", "annee", "ano", "jaar", "yearofpublication", "releaseyear", "erschienen"),
    "description": ("description", "text", "plot", "summary", "beschreibung", "inhalt", "descripcion", "resume"),
    "author": ("author", "autor", "auteur", "verfasser", "bookauthor", "writer"),
}  # fmt: skip


def near(ours: str, columns: Sequence[str]) -> list[str]:
    """The columns whose names may stand for one of ours, the likeliest first; none when no name resembles it.

    >>> near("user_id", ["Kunden-Nr", "sku", "when"]), near("time", ["prix"])
    (['Kunden-Nr'], [])
    """
    points = {name: named(ours, name) for name in columns}
    return sorted((name for name in columns if points[name] > 0), key=lambda name: -points[name])[:2]


def named(ours: str, theirs: str) -> float:
    """How much a column's name speaks for one of ours: 1 a known word, .6 a part of it is one, .4 nearly, else 0."""
    whole = _plain(theirs)
    known = {_plain(ours), *WORDS.get(ours, ())}
    if whole in known:
        return 1.0
    parts = [_plain(part) for part in re.split(r"[^0-9A-Za-zÀ-ÿ]+|(?<=[a-zà-ÿ])(?=[A-Z])", theirs) if part]
    if ours in (USER_ID, ITEM_ID):
        parts = [part for part in parts if part != "id"]
    if known & set(parts):
        return 0.6
    return 0.4 if difflib.get_close_matches(whole, [word for word in known if len(word) > 4], n=1, cutoff=0.84) else 0.0


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
