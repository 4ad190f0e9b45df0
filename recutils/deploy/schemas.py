"""What the service takes and gives, field by field, with the limits on every size. No answers are made here."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MOST_K = 100
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
K = Annotated[int, Field(ge=1, le=MOST_K, description=f"length of the list, at most {MOST_K}", examples=[10])]
Text = Annotated[str, StringConstraints(max_length=1000)]


class Strict(BaseModel):
    """Unknown fields and wrong types are refused, so that a misspelt field is not silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Liked(Strict):
    """Items that somebody likes."""

    items: Annotated[list[Id], Field(max_length=200, examples=[["50", "181"]])]
    k: K = 10


class Described(Strict):
    """What somebody looks for, in words."""

    text: Annotated[Text, Field(examples=["a quiet film about a long friendship"])]
    k: K = 10


class Many(Strict):
    """Several known people at once."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=500, examples=[["1", "2"]])]
    k: K = 10


class Event(Strict):
    """Something that happened to an item in a list; id: chosen by the caller, so that a repeat is not counted twice."""

    id: Id
    user_id: Id
    item_id: Id
    kind: Literal["shown", "click", "choose", "dismiss"]
    time: Annotated[AwareDatetime, Field(strict=False)]


class Events(Strict):
    """Feedback."""

    events: Annotated[list[Event], Field(min_length=1, max_length=500)]


class Item(BaseModel):
    """A place in a list. score: the model's own, comparable within one list only."""

    rank: int
    item_id: str
    title: str
    score: float


class Recommended(BaseModel):
    """A list, how it was found, what the reader should know of it, and the bundle that gave it."""

    items: list[Item]
    how: str
    note: str
    version: str


class RecommendedTo(Recommended):
    """The same, for one of several."""

    user_id: str


class Because(BaseModel):
    """An item of the history, and how far the score falls without it; null where only popularity would be left."""

    item_id: str
    title: str
    change: float | None


class Why(BaseModel):
    """Reasons for an item, strongest first; note where there are none."""

    reasons: list[Because]
    note: str
    version: str


class Kept(BaseModel):
    """How many events were new and are on the disk."""

    kept: int
    known: int


class Version(BaseModel):
    """What is served."""

    version: str
    model: str
    data: dict
    n_users: int
    n_items: int
    encoder: str | None
    loaded: datetime


class Detail(BaseModel):
    """A fault that the caller can cure."""

    code: str
    message: str
    cure: str


class Fault(BaseModel):
    """The form of every error."""

    error: Detail
