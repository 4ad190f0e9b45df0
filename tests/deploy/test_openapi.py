"""The interface describes itself, and every example that it gives is answered."""

import dataclasses
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST

from recutils.deploy.access import READ, Keys, new_key
from recutils.deploy.examples import plain
from recutils.deploy.routes import create
from recutils.deploy.service import Settings
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset
from tests.deploy.test_engine import bundle
from tests.deploy.test_service import opened, serve

SHOWN_ITEMS = ["50", "181", "423"]


@pytest.fixture
def own(dataset: Dataset, tmp_path: Path) -> Shelf:
    """A bundle that knows none of the examples' ids."""
    found = bundle(dataset)
    titles = [f"Odd {title} ({1950 + row})" for row, title in enumerate(found.items.title)]
    shelf = Shelf(tmp_path / "own")
    shelf.publish(dataclasses.replace(found, items=found.items.assign(title=titles), data={"name": "my_shop"}))
    return shelf


@pytest.fixture
def shelf(dataset: Dataset, tmp_path: Path) -> Shelf:
    """A bundle that knows the people and the items of the examples."""
    made = bundle(dataset)
    item_ids = [*SHOWN_ITEMS, *made.items.item_id[len(SHOWN_ITEMS) :]]
    people = made.user_ids.copy()
    people[:2] = "1", "2"
    shelf = Shelf(tmp_path / "shelf")
    shelf.publish(dataclasses.replace(made, items=made.items.assign(item_id=item_ids), user_ids=people))
    return shelf


def followed(told: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema, or the one that it refers to; of a list its items'."""
    schema = schema.get("items", schema)
    return told["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def routes(told: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, methods in told["paths"].items() for method, one in methods.items()]


def test_every_question_and_every_answer_has_an_example(shelf: Shelf) -> None:
    told = create(opened(shelf)).openapi()
    assert len(routes(told)) >= 12
    for path, method, route in routes(told):
        for one in route.get("parameters", []):
            assert one["schema"].get("examples"), (path, one["name"])
        if body := route.get("requestBody"):
            assert followed(told, body["content"]["application/json"]["schema"]).get("examples"), path
        good = next(one for code, one in route["responses"].items() if code.startswith("2"))
        kind = CONTENT_TYPE_LATEST if path == "/metrics" else "application/json"
        assert followed(told, good["content"][kind]["schema"]).get("examples"), (path, method)
        assert route["description"] and {"422", "429", "503"} <= set(route["responses"])


@pytest.mark.parametrize("which", ["shelf", "own"])
def test_every_example_is_answered_and_looks_like_its_example(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shelf: Shelf = request.getfixturevalue(which)

    async def steps(client: httpx.AsyncClient, app: FastAPI) -> None:
        told = (await client.get("/openapi.json")).json()
        for path, method, route in routes(told):
            query = {}
            for one in route.get("parameters", []):
                value = str(one["schema"]["examples"][0])
                path = path.replace(f"{{{one['name']}}}", value)
                query |= {one["name"]: value} if one["in"] == "query" else {}
            body = route.get("requestBody")
            bodies = followed(told, body["content"]["application/json"]["schema"])["examples"] if body else [None]
            for example in bodies:
                answer = await client.request(method, path, params=query, json=example)
                assert answer.is_success, (method, path, answer.text)
                assert "nobody is known" not in answer.text and "not in the catalogue" not in answer.text, path
                _alike(told, route, answer)

    serve(opened(shelf, feedback=tmp_path / "log"), steps)


def _alike(told: dict[str, Any], route: dict[str, Any], answer: httpx.Response) -> None:
    (kind, content), *none = route["responses"][str(answer.status_code)]["content"].items()
    schema = content["schema"]
    assert not none and answer.headers["content-type"] == kind
    if kind == CONTENT_TYPE_LATEST:
        return
    found = answer.json()[0] if isinstance(answer.json(), list) else answer.json()
    assert set(found) == set(followed(told, schema)["examples"][0])


def test_examples_are_the_served_bundles_and_a_stranger_with_keys_sees_none_of_them(own: Shelf) -> None:
    _, key = new_key("shop", [READ])

    async def open_to_all(client: httpx.AsyncClient, app: FastAPI) -> None:
        told, interface = (await client.get("/version")).json(), (await client.get("/openapi.json")).json()
        popular = np.argsort(-app.state.service.engine.model.popular, kind="stable")[:2]
        assert told["examples"]["item_ids"] == [f"i{row}" for row in popular]
        assert told["examples"]["user_ids"] == ["u0", "u1"] and told["data"] == {"name": "my_shop"}
        assert told["examples"]["words"].startswith("odd ") and "19" not in told["examples"]["words"]
        asked = interface["components"]["schemas"]["Liked"]["examples"][0]
        assert asked == {"items": told["examples"]["item_ids"], "k": 10}
        person = interface["paths"]["/v1/users/{user_id}/recommendations"]["get"]["parameters"][0]
        assert person["schema"]["examples"] == ["u0"] and "star wars" not in str(interface).lower()

    async def keyed(client: httpx.AsyncClient, _: FastAPI) -> None:
        told = (await client.get("/openapi.json")).text
        assert "my_shop" not in told and "'u0'" not in told and '"u0"' not in told and "star wars" in told

    serve(opened(own), open_to_all)
    serve(Settings(own, keys=Keys((key,)), poll_seconds=0), keyed)


@pytest.mark.parametrize(
    ("title", "typed"), [("Star Wars (1977)", "star wars"), ("(1999)", "(1999)"), ("", ""), ("Amélie, 2", "amélie 2")]
)
def test_a_titles_words_are_what_somebody_would_type(title: str, typed: str) -> None:
    assert plain(title) == typed
