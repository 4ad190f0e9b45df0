"""The interface describes itself, and every example that it gives is answered."""

import dataclasses
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recutils.deploy.routes import create
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset
from tests.deploy.test_engine import bundle
from tests.deploy.test_service import opened, serve

SHOWN_ITEMS = ["50", "181", "423"]


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
        assert followed(told, good["content"]["application/json"]["schema"]).get("examples"), (path, method)
        assert route["description"] and {"422", "429", "503"} <= set(route["responses"])


def test_every_example_is_answered_and_looks_like_its_example(shelf: Shelf, tmp_path: Path) -> None:
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
                _alike(told, route, answer)

    serve(opened(shelf, feedback=tmp_path / "log"), steps)


def _alike(told: dict[str, Any], route: dict[str, Any], answer: httpx.Response) -> None:
    schema = route["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
    found = answer.json()[0] if isinstance(answer.json(), list) else answer.json()
    assert set(found) == set(followed(told, schema)["examples"][0])
