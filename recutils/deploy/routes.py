"""The service's addresses, each a few lines: what is asked goes to the engine, what comes back is told. No protection
here (guard.py), no answers (engine.py).
"""

import asyncio
import datetime
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError, StarletteHTTPException
from fastapi.responses import FileResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recutils.deploy.bundle import Bundle
from recutils.deploy.engine import Engine, Reason
from recutils.deploy.examples import fitted
from recutils.deploy.feedback import stamped
from recutils.deploy.guard import Guard, Refused
from recutils.deploy.schemas import (
    MOST_K,
    Because,
    Described,
    Event,
    Events,
    Fault,
    Health,
    Kept,
    Liked,
    Many,
    Ready,
    Recommended,
    RecommendedTo,
    Reloaded,
    Version,
    Why,
)
from recutils.deploy.service import Service, Settings
from recutils.tables import Problem

PAGE = Path(__file__).with_name("page")
PARTS = ("app.js", "style.css")
CALLED_JSON = "Content-Type: application/json"
SERIES = {"schema": {"type": "string", "examples": ["recutils_ready 1.0"]}}
KIND = re.compile(r"[A-Za-z0-9.+-]{1,40}/[A-Za-z0-9.+-]{1,40}")  # what is repeated to who sent it
Person = Annotated[str, InPath(min_length=1, max_length=200, examples=["1"])]
Thing = Annotated[str, InPath(min_length=1, max_length=200, examples=["50"])]
Asked = Annotated[str, Query(max_length=1000, description="words", examples=["star wars"])]
Length = Annotated[int, Query(ge=1, le=MOST_K, description="length of the list", examples=[10])]
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Fault, "description": told}
    for code, told in {
        400: "the body cannot be read", 401: "no valid key",
        403: "the key may not do that", 404: "unknown item or address", 413: "body too large",
        422: "a field is missing, unknown or out of its limits", 429: "too many requests from this caller",
        503: "too much load, or not ready", 504: "the answer took too long",
    }.items()
}  # fmt: skip


def create(settings: Settings) -> FastAPI:
    """The app; `uvicorn.run` takes it. Its state holds the Service as `service`."""
    service = Service(settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        watch = asyncio.create_task(service.watch())
        try:
            yield
        finally:
            watch.cancel()
            service.close()

    app = FastAPI(
        title="recutils", version="1", lifespan=life, docs_url=None, redoc_url=None, responses=ERRORS,
        redirect_slashes=False,  # a redirect would repeat whatever host the caller named
    )  # fmt: skip
    app.state.service = service
    if settings.keys is None:  # else the interface, which is open to all, would tell strangers ids of people
        _own_examples(app, service)
    app.add_middleware(Guard, keys=settings.keys, limits=settings.limits, telemetry=service.telemetry)
    _errors(app)
    _lists(app, service)
    _reasons(app, service)
    _running(app, service)
    _page(app)
    return app


def _own_examples(app: FastAPI, service: Service) -> None:
    """Examples of the served bundle in /openapi.json, and of ml-100k while none is loaded."""
    told = app.openapi

    def interface() -> dict[str, Any]:
        return told() if service.engine is None else fitted(told(), service.engine, service.examples)

    app.openapi = interface


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(asked: Request, fault: RequestValidationError) -> Response:
        if isinstance(fault.body, bytes) and fault.body:  # it was not even read: no page may post JSON as a form
            return _refusal(_not_json(asked.headers.get("content-type", "")))
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        return _refusal(Refused(422, "invalid", f"{where}: {first['msg']}"[:400], "see /openapi.json"))

    @app.exception_handler(StarletteHTTPException)
    async def known(_: Request, fault: StarletteHTTPException) -> Response:
        return _refusal(Refused(fault.status_code, "http", str(fault.detail)[:400], "see /openapi.json"))

    @app.exception_handler(Refused)
    async def refused(_: Request, fault: Refused) -> Response:
        return _refusal(fault)

    @app.exception_handler(Problem)
    async def problem(_: Request, fault: Problem) -> Response:
        return _refusal(Refused(404, "unknown", str(fault)[:400], "see the catalogue: /v1/search"))


def _not_json(told: str) -> Refused:
    kind = told.partition(";")[0].strip()
    came = f"content-type {kind}" if KIND.fullmatch(kind) else "no or an odd content-type"
    return Refused(422, "not_json", f"the body is not called JSON ({came})", f"send `{CALLED_JSON}`")


def _refusal(fault: Refused) -> Response:
    return Response(fault.body(), fault.status, headers=fault.headers, media_type="application/json")


def _lists(app: FastAPI, service: Service) -> None:
    @app.get("/v1/users/{user_id}/recommendations")
    async def for_user(user_id: Person, k: Length = 10) -> Recommended:
        """A list for a known person; popular items, and said so, for a stranger."""
        engine = service.now
        return service.listed(engine, engine.for_user(user_id, k))

    @app.post("/v1/recommendations")
    async def for_items(asked: Liked) -> Recommended:
        """A list for somebody who likes these items; unknown ones are left out and named."""
        engine = service.now
        return service.listed(engine, engine.for_items(asked.items, asked.k))

    @app.post("/v1/recommendations/text")
    async def for_text(asked: Described) -> Recommended:
        """Items near a description."""
        engine, vector = service.now, await service.vector(asked.text)
        return service.listed(engine, service.told(engine.for_text(asked.text, asked.k, vector)))

    @app.post("/v1/batch")
    async def for_many(asked: Many, request: Request) -> list[RecommendedTo]:
        """Lists for several people, counted as so many requests; other requests are answered in between."""
        request.state.charge(len(asked.user_ids) - 1)
        engine, found = service.now, []
        for user_id in asked.user_ids:
            one = service.listed(engine, engine.for_user(user_id, asked.k))
            found.append(RecommendedTo(user_id=user_id, **one.model_dump()))
            await asyncio.sleep(0)
        return found

    @app.get("/v1/items/{item_id}/similar")
    async def similar(item_id: Thing, k: Length = 10) -> Recommended:
        """Items like this one."""
        engine = service.now
        return service.listed(engine, engine.similar(item_id, k))

    @app.get("/v1/search")
    async def search(q: Asked, k: Length = 10) -> Recommended:
        """Items that answer a query, by words and meaning."""
        engine, vector = service.now, await service.vector(q)
        return service.listed(engine, service.told(engine.search(q, k, vector)))


def _reasons(app: FastAPI, service: Service) -> None:
    @app.get("/v1/users/{user_id}/why/{item_id}")
    async def why(user_id: Person, item_id: Thing) -> Why:
        """What in a person's history speaks for an item."""
        engine = service.now
        return _why(engine, engine.reasons(engine.history_of(user_id), item_id))

    @app.post("/v1/why/{item_id}")
    async def why_items(item_id: Thing, asked: Liked) -> Why:
        """What among these items speaks for another."""
        engine = service.now
        rows, _ = engine.rows(asked.items)
        return _why(engine, engine.reasons(engine.history(rows), item_id))


def _why(engine: Engine, reasons: Sequence[Reason]) -> Why:
    told = [
        Because(item_id=str(engine.item_ids[one.item]), title=str(engine.titles[one.item]), change=one.change)
        for one in reasons
    ]
    note = "" if told else "nothing in this history raises the item: it stands there as one that many choose"
    return Why(reasons=told, note=note, version=engine.bundle.version)


def _running(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> Health:
        """The process lives."""
        return Health(status="alive")

    @app.get("/ready")
    async def ready() -> Ready:
        """Requests are taken, and how texts are met now; 503 while no bundle is loaded."""
        return Ready(status="ready", version=service.now.bundle.version, texts=service.texts)

    @app.get("/version")
    async def version() -> Version:
        """What is served."""
        bundle: Bundle = service.now.bundle
        return Version(
            version=bundle.version, model=bundle.model.name, data=dict(bundle.data), n_users=len(bundle.user_ids),
            n_items=len(bundle.items), encoder=bundle.encoder.name if bundle.encoder else None, loaded=service.loaded,
            examples=service.examples,
        )  # fmt: skip

    @app.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: SERIES}}})
    async def metrics() -> Response:
        """Counters for Prometheus, in its own text format."""
        return Response(generate_latest(service.telemetry.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post("/admin/reload")
    async def reload() -> Reloaded:
        """Load what the shelf serves, now; 409 and the reason where it is refused."""
        try:
            changed = await service.reload()
        except Problem as fault:
            raise Refused(409, "refused_bundle", str(fault)[:400], "publish a whole bundle, or roll back") from fault
        return Reloaded(changed=changed, version=service.now.bundle.version)

    @app.post("/v1/feedback", status_code=201)
    async def feedback(told: Events, request: Request) -> Kept:
        """Keep what happened; answered after it is on the disk. A repeated id is not kept twice."""
        request.state.charge(len(told.events) - 1)
        if service.log is None:
            raise Refused(503, "no_log", "this service keeps no feedback", "start it with `--feedback FOLDER`")
        try:
            rows, n_skewed = stamped([_event(one) for one in told.events], datetime.datetime.now(datetime.UTC))
        except Problem as fault:
            raise Refused(422, "future", str(fault)[:400], "set the caller's clock and send again") from fault
        try:
            kept = await asyncio.to_thread(service.log.append, rows)
        except Problem as fault:
            raise Refused(503, "not_kept", str(fault)[:400], "send the same events again later", 5.0) from fault
        service.telemetry.events.inc(kept)
        service.telemetry.skewed.inc(min(n_skewed, kept))
        return Kept(kept=kept, known=len(rows) - kept)


def _event(one: Event) -> dict[str, str]:
    return {"id": one.id, "user": one.user_id, "item": one.item_id, "kind": one.kind, "time": one.time.isoformat()}


def _page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in PARTS:
            raise Refused(404, "http", "no such page", "open /")
        return FileResponse(PAGE / name)
