"""What the service takes and gives, field by field, with the limits on every size and an example of everything.

The examples are of the ml-100k bundle; a service without keys shows its own bundle's instead (examples.py). A test
sends each of them. No answers are made here.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MOST_K = 100
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
K = Annotated[int, Field(ge=1, le=MOST_K, description=f"length of the list, at most {MOST_K}")]
Text = Annotated[str, StringConstraints(max_length=1000)]


def shown(**example: Any) -> ConfigDict:
    """A model's example, as /openapi.json tells it."""
    return ConfigDict(json_schema_extra={"examples": [example]})


ITEM_SHOWN = {"rank": 1, "item_id": "423", "title": "E.T. the Extra-Terrestrial", "score": 0.709}
LIST_SHOWN = {"items": [ITEM_SHOWN], "how": "personal", "note": "", "version": "0a1b2c3d4e5f"}
EVENT_SHOWN = {"id": "visit-7-1", "user_id": "1", "item_id": "423", "kind": "click", "time": "1998-04-20T12:00:00Z"}
REASON_SHOWN = {"item_id": "50", "title": "Star Wars", "change": 0.021}


class Strict(BaseModel):
    """Unknown fields and wrong types are refused, so that a misspelt field is not silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Liked(Strict):
    """Items that somebody likes."""

    model_config = shown(items=["50", "181"], k=10)

    items: Annotated[list[Id], Field(max_length=200)]
    k: K = 10


class Described(Strict):
    """What somebody looks for, in words."""

    model_config = shown(text="a quiet film about a long friendship", k=10)

    text: Text
    k: K = 10


class Many(Strict):
    """Several known people at once."""

    model_config = shown(user_ids=["1", "2"], k=10)

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=500)]
    k: K = 10


class Event(Strict):
    """Something that happened to an item in a list; id: chosen by the caller, so that a repeat is not counted twice."""

    model_config = shown(**EVENT_SHOWN)

    id: Id
    user_id: Id
    item_id: Id
    kind: Literal["shown", "click", "choose", "dismiss"]
    time: Annotated[AwareDatetime, Field(strict=False)]


class Events(Strict):
    """Feedback."""

    model_config = shown(events=[EVENT_SHOWN])

    events: Annotated[list[Event], Field(min_length=1, max_length=500)]


class Item(BaseModel):
    """A place in a list. score: the model's own, comparable within one list only."""

    model_config = shown(**ITEM_SHOWN)

    rank: int
    item_id: str
    title: str
    score: float


class Recommended(BaseModel):
    """A list, how it was found, what the reader should know of it, and the bundle that gave it."""

    model_config = shown(**LIST_SHOWN)

    items: list[Item]
    how: str
    note: str
    version: str


class RecommendedTo(Recommended):
    """The same, for one of several."""

    model_config = shown(user_id="1", **LIST_SHOWN)

    user_id: str


class Because(BaseModel):
    """An item of the history, and how far the score falls without it; null where only popularity would be left."""

    model_config = shown(**REASON_SHOWN)

    item_id: str
    title: str
    change: float | None


class Why(BaseModel):
    """Reasons for an item, strongest first; note where there are none."""

    model_config = shown(reasons=[REASON_SHOWN], note="", version="0a1b2c3d4e5f")

    reasons: list[Because]
    note: str
    version: str


class Kept(BaseModel):
    """How many events were new and are on the disk."""

    model_config = shown(kept=1, known=0)

    kept: int
    known: int


class Shown(BaseModel):
    """Examples of what the served bundle can be asked; empty where it has none."""

    model_config = shown(
        user_ids=["1", "2"], item_ids=["50", "181"], words="star wars", text="a quiet film about a long friendship"
    )

    user_ids: list[str] = []
    item_ids: list[str] = []
    words: str = ""
    text: str = ""


class Version(BaseModel):
    """What is served."""

    model_config = shown(
        version="0a1b2c3d4e5f", model="ease", data={"name": "ml-100k", "users": 943, "items": 1682, "events": 100000},
        n_users=943, n_items=1682, encoder="minilm", loaded="1998-04-20T12:00:00Z",
        examples=Shown.model_config["json_schema_extra"]["examples"][0],
    )  # fmt: skip

    version: str
    model: str
    data: dict
    n_users: int
    n_items: int
    encoder: str | None
    loaded: datetime
    examples: Shown


class Health(BaseModel):
    """The process lives; nothing is said of what it serves."""

    model_config = shown(status="alive")

    status: str


class Ready(BaseModel):
    """Requests are taken. texts: how texts are met now: by words and meaning, or by words only and why."""

    model_config = shown(status="ready", version="0a1b2c3d4e5f", texts="words and meaning")

    status: str
    version: str
    texts: str


class Reloaded(BaseModel):
    """What is served after the shelf was asked, and whether it is another bundle than before."""

    model_config = shown(changed=True, version="0a1b2c3d4e5f")

    changed: bool
    version: str


class Detail(BaseModel):
    """A fault that the caller can cure."""

    model_config = shown(
        code="unknown", message="item 'x' is not in the catalogue.", cure="see the catalogue: /v1/search"
    )

    code: str
    message: str
    cure: str


class Fault(BaseModel):
    """The form of every error."""

    error: Detail
