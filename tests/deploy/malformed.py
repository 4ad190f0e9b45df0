"""What a hostile caller sends: requests that are wrong in content, requests against the schema,
bytes that are no HTTP.

The tests send a few hundred of them, benchmarks/fuzz_service.py sends 10,000. Whoever generates takes a seed.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from recutils.deploy.guard import OPEN

PRIVATE = "zq7private"  # stands in ids, texts and queries; no log and no counter may repeat it
ANSWERED = re.compile(rb'"how":"|recutils_request|"kept":\d|"changed":|"reasons":\[|"n_users":\d')
LEAKED = re.compile(r"Traceback|\.py\b|site-packages|/home/|/root/|/tmp/|object at 0x")
EVENT = {"id": PRIVATE, "user_id": "u1", "item_id": "i1", "kind": "click", "time": "2000-01-01T00:00:00Z"}
TEMPLATES = {
    "/v1/recommendations": {"items": ["i1", PRIVATE], "k": 5},
    "/v1/recommendations/text": {"text": f"tea {PRIVATE}", "k": 5},
    "/v1/batch": {"user_ids": ["u1", PRIVATE], "k": 5},
    "/v1/why/i2": {"items": ["i1", "i3"], "k": 5},
    "/v1/feedback": {"events": [{"id": PRIVATE, "user_id": "u1", "item_id": "i1", "kind": "click",
    "time": "2000-01-01T00:00:00Z"}]},
}  # fmt: skip
PLACES = (
    "/v1/users/{}/recommendations", "/v1/items/{}/similar", "/v1/users/{}/why/i1", "/v1/users/u1/why/{}",
    "/v1/search",
    "/page/{}", "/{}", "/v1/{}", "/admin/{}", "/metrics", "/version", "/health", "/", "/openapi.json",
    "/admin/reload",
)  # fmt: skip
TRICKS = (
    "", ".", "..", "../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "....//app.js", "\x00", "a\x00b",
    "\r\nx-evil: 1",
    "\n", "u1\u202e", "\ufeffu1", "u\u0301", "\uff55\uff11", "\U0010ffff", "' OR 1=1 --", "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>", "%s%n%x", "u" * 201, "u" * 3_000, "true", "null", "NaN", "-1", "1e309", "0x10",
    PRIVATE,
)  # fmt: skip
NUMBERS = (
    "0",
    "-1",
    "1",
    "101",
    "1e3",
    "NaN",
    "inf",
    "9" * 400,
    "9" * 3900,
    "\uff15",
    " 5",
    "5.0",
    "true",
    "[]",
    "",
    "5;5",
)
FRAGMENTS = (
    b"", b"null", b"{", b"}", b"[]", b'""', b"{}" * 50, b"[" * 50_000, b'{"k":' * 20_000, b"NaN",
    b'{"items":["i1"],"k":NaN}',
    b'{"items":["i1"],"k":1e999}', b'{"items":["i1"],"k":' + b"9" * 5_000 + b"}", b'{"items":["i1"],"k":-0.0}',
    b'{"items":["i1"],"items":["i2"],"k":3}', b'{"items":["\\ud800"],"k":3}', b'{"\\ud800":1,"items":[]}',
    b'{"text":"\\ud83d","k":1}', b'{"user_ids":["\\udfff"]}', b'{"items":["i1\xff"]}', b'\xef\xbb\xbf{"items":[]}',
    '{"items":["i1"]}'.encode("utf-16"), '{"text":"tea"}'.encode("utf-32"), b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    b"\x00" * 1_000,
    b'{"items":["' + b"i" * 500_000 + b'"]}', b'{"items":[' + b'"i1",' * 50_000 + b'"i1"]}', b" " * 900_000,
    b"a" * 1_000_001,
    b'{"__proto__":{"k":1},"items":[]}', b'{"items":["i1"],"k":true}', b'{"items":{"0":"i1"}}',
    b'{"text":"' + b"\\u0000" * 1_000 + b'"}',
    b'{"events":[{"id":"a","user_id":"u","item_id":"i","kind":"click","time":1e400}]}',
    b'{"events":[{"id":"a","user_id":"u","item_id":"i","kind":"click","time":"9999-12-31T23:59:60Z"}]}',
    b'{"events":[{"id":"a","user_id":"u","item_id":"i","kind":"click","time":"0001-01-01T00:00:00+23:59"}]}',
    b'{"events":[{"id":"a","user_id":"u","item_id":"i","kind":"click","time":99999999999999999999}]}',
    b'{"events":[{"id":"\\u2028","user_id":"\\u0000","item_id":"\\r\\n","kind":"click","time":"2000-01-01T00:00:00Z"}]}',
)  # fmt: skip
KINDS = (
    b"application/json", b"application/json; charset=utf-16", b"text/plain", b"application/x-www-form-urlencoded",
    b"",
    b"multipart/form-data", b"application/xml", b"application/vnd.api+json", b"\xff\xfe", b"application/json" * 50,
)  # fmt: skip
EXTRA = (
    (b"content-encoding", b"gzip"), (b"x-forwarded-for", b"1.2.3.4"), (b"x-http-method-override", b"DELETE"),
    (b"accept", b"\xff"), (b"cookie", b"a=" + b"b" * 3_000), (b"range", b"bytes=0-1,-5,99999999999-"),
    (b"if-none-match", b'"x"'), (b"if-modified-since", b"nonsense"), (b"authorization", b"Basic YTpi"), (b"te",
    b"trailers"),
    (b"x-original-url", b"/admin/reload"), (b"x-request-id", b"a\tb"), (b"expect", b"200-ok"), (b"upgrade",
    b"websocket"),
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request as it goes over the wire, all in bytes. target: path and query, visible ASCII."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def having(self, *headers: tuple[bytes, bytes]) -> "Asked":
        """The same with more headers."""
        return replace(self, headers=(*self.headers, *headers))

    @property
    def path(self) -> str:
        """As a server decodes it."""
        return unquote(self.target.partition(b"?")[0].decode())

    def wire(self) -> bytes:
        """HTTP/1.1, to be answered and closed."""
        lines = [self.method + b" " + self.target + b" HTTP/1.1", b"host: 127.0.0.1", b"connection: close"]
        lines += [name + b": " + value for name, value in self.headers]
        lines += [b"content-length: %d" % len(self.body)] if self.body else []
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


words = st.sampled_from(TRICKS) | st.text(max_size=30)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["items", "k", "text",
    "id"]) | words, inner),
    max_leaves=8,
)  # fmt: skip


def _coded(value: object) -> bytes:
    return json.dumps(value).encode()


@st.composite
def bodies(draw: st.DrawFn, place: str) -> bytes:
    """A body for a place: nearly right, cut, with bytes exchanged, or nothing like it."""
    told = TEMPLATES[place]
    kind = draw(st.sampled_from(["field", "more", "cut", "bytes", "any", "fragment", "binary"]))
    if kind == "field":
        return _coded(told | {draw(st.sampled_from(sorted(told))): draw(anything)})
    if kind == "more":
        return _coded(told | {draw(words): draw(anything)})
    if kind == "any":
        return _coded(draw(anything))
    if kind == "fragment":
        return draw(st.sampled_from(FRAGMENTS))
    content = bytearray(_coded(told))
    if kind == "cut":
        return bytes(content[: draw(st.integers(0, len(content) - 1))])
    if kind == "bytes":
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        return bytes(content)
    return draw(st.binary(max_size=200))


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """A request that is whole HTTP, and wrong somewhere else."""
    extra = tuple(draw(st.lists(st.sampled_from(EXTRA), max_size=2, unique=True)))
    if draw(st.booleans()):
        place = draw(st.sampled_from(sorted(TEMPLATES)))
        kind = draw(st.sampled_from([KINDS[0]] * 6 + list(KINDS)))
        return Asked(b"POST", place.encode(), ((b"content-type", kind), *extra), draw(bodies(place)))
    method = draw(
        st.sampled_from([b"GET"] * 8 + [b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"POST", b"FOO"])
    )
    part = quote(draw(words), safe=draw(st.sampled_from(["", "/.%", ";=@"])))
    raw = draw(
        st.sampled_from(["", "", "", "%", "%zz", "%ff%fe", "%c0%ae%c0%ae/", "%00", "//", "/./", ";a=b", "?", "#x"])
    )
    target = draw(st.sampled_from(PLACES)).format(part) + raw
    asks = draw(
        st.lists(
            st.tuples(st.sampled_from(["k", "q", "k[]", "K", PRIVATE]), st.sampled_from(NUMBERS) | words), max_size=3
        )
    )
    query = "&".join(f"{name}={quote(value)}" for name, value in asks)
    return Asked(method, f"{target}?{query}".encode() if query else target.encode(), extra)


def _request(key: bytes, path: bytes = b"/v1/recommendations", more: bytes = b"", body: bytes = b"") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: " + key + b"\r\n" + more + b"\r\n" + body


def broken(key: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are no HTTP, or half of it, or too much of it; key: the one that they show, "" for none."""
    json_ = b"content-type: application/json\r\n"
    chunked, body = json_ + b"transfer-encoding: chunked\r\n", b'{"items":["i1"],"k":3}'
    whole = _request(key, more=json_ + b"content-length: %d\r\n" % len(body), body=body)
    get = b"GET /v1/users/u1/recommendations HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: " + key + b"\r\n\r\n"
    chunks = [
        b"zz\r\n", b"-1\r\nabc\r\n", b"ffffffffffffffffffff\r\n", b"5\r\nab\r\n0\r\n\r\n",
        b"1;" + b"x" * 20_000 + b"\r\na\r\n",
        b"16\r\n" + body + b"\r\n", b"16\r\n" + body + b"\r\n0\r\n\r\n", b"2\r\n{}X",
        b"0\r\nx-late: " + b"y" * 20_000 + b"\r\n\r\n",
        b"1\r\n[\r\n" * 5_000 + b"0\r\n\r\n",
        b"40000\r\n" + b"a" * 0x40000 + b"\r\n" + b"f4240\r\n" + b"a" * 1_000_000 + b"\r\n0\r\n\r\n",
    ]  # fmt: skip
    fixed = [
        *(_request(key, more=chunked, body=one) for one in chunks),
        _request(key, more=json_ + b"content-length: 22\r\ncontent-length: 5\r\n", body=body),
        _request(key, more=chunked + b"content-length: 22\r\n", body=b"0\r\n\r\n" + get),
        *(_request(key, more=json_ + b"content-length: " + one + b"\r\n", body=body)
          for one in (b"-1", b"+22", b"0x16", b"9" * 30, b"22 22", b"\xb2\xb2", b"1000001", b"5", b"10000000")),
        _request(key, more=json_ + b"content-length: 10000000\r\n", body=b" " * 2_000_000),
        _request(key, more=b"expect: 100-continue\r\ncontent-length: 5000000\r\n"),
        _request(key, more=b"transfer-encoding: gzip, chunked\r\n", body=b"0\r\n\r\n"),
        get.replace(b"\r\n\r\n", b"\r\nx-big: " + b"a" * 70_000 + b"\r\n\r\n"),
        get.replace(b"\r\n\r\n", b"\r\n" + b"x: y\r\n" * 5_000 + b"\r\n"),
        get.replace(b"/u1/", b"/" + b"u" * 70_000 + b"/"), get.replace(b"host: 127.0.0.1\r\n", b""),
        get.replace(b"HTTP/1.1", b"HTTP/9.9"), get.replace(b"HTTP/1.1", b"HTTP/1.0"), get.replace(b" HTTP/1.1", b""),
        get.replace(b"\r\n", b"\n"), get.replace(b"\r\n", b"\r"), get.replace(b"GET ", b"GET http://evil.example"),
        get.replace(b"GET /", b"GET //evil.example/"), get.replace(b"GET /v1/users/u1/recommendations", b"OPTIONS *"),
        get.replace(b"GET /v1/users/u1/recommendations", b"CONNECT evil.example:443"), get.replace(b"u1",
        b"\xff\x00"),
        get.replace(b"x-api-key", b"x-api-key "), get.replace(b"x-api-key", b"x-\x00-key"), get * 20, whole * 20,
        whole + get, get + b"\x00\r\n\r\n", whole + b"\x16\x03 /\r\n\r\n",
        get.replace(b"\r\n\r\n",
        b"\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n\r\n"),
        get.replace(b"\r\n\r\n", b"\r\n folded: yes\r\n\r\n"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n" * 10_000, b"\x00" * 100, b"GET", b"GET / HT", whole[:-5], b"A" * 100_000,
    ]  # fmt: skip
    return st.sampled_from(fixed) | _mutated(get) | _mutated(whole) | st.binary(min_size=1, max_size=300)


@st.composite
def _mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes taken out, put in, doubled or cut off."""
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 12))
        piece = draw(
            st.sampled_from([b"", content[at : at + length] * 3, b"\r\n", b"\x00", b":", b" "]) | st.binary(max_size=6)
        )
        content = content[:at] + piece + content[at + length :]
    return content


def taken(strategy: st.SearchStrategy, n: int, at: int) -> list:
    """n examples, the same for the same seed `at` and version of hypothesis; the last is repeated where few exist."""
    found: list = []
    while len(found) < n:
        fresh = _taken(strategy, n - len(found), at + len(found))
        found += fresh if len(fresh) > 1 else fresh * (n - len(found))
    return found[:n]


def _taken(strategy: st.SearchStrategy, n: int, at: int) -> list:
    fresh: list = []

    @seed(at)
    @settings(max_examples=n, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def note(one: object) -> None:
        fresh.append(one)

    note()
    return fresh


def against_schema(document: dict) -> Iterator[tuple[str, st.SearchStrategy]]:
    """For each operation of an OpenAPI document that takes anything: its name, and requests that break its schema."""
    import schemathesis

    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.body or operation.query or operation.path_parameters:
            strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            yield f"{operation.method} {operation.path}", strategy.map(_of_case())


def _of_case() -> Callable[[object], Asked]:
    from requests import Request

    def prepared(case: object) -> Asked:
        given_ = {name: value for name, value in case.as_transport_kwargs(base_url="http://127.0.0.1").items()
                  if name in ("method", "url", "params", "data", "json", "headers", "cookies", "files")}  # fmt: skip
        made = Request(**given_).prepare()
        body = made.body or b""
        skipped = ("connection", "content-length", "x-api-key", "authorization")
        headers = [(name.lower(), value) for name, value in made.headers.items() if name.lower() not in skipped]
        coded = tuple((_latin(name), _latin(value)) for name, value in headers)
        return Asked(
            made.method.encode(), made.path_url.encode(), coded, body.encode() if isinstance(body, str) else bytes(body)
        )

    return prepared


def _latin(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")


def wrong(status: int, body: bytes, *, keyed: bool, path: str = "") -> str:
    """What is wrong with an answer; "" where nothing is. 503 and 504 are refusals that the service means."""
    if status >= 500 and status not in (503, 504):
        return f"status {status}"
    served = ANSWERED.search(body) and b'"openapi":"3' not in body  # the interface is open, and holds examples
    if not keyed and (served or (200 <= status < 300 and path not in OPEN | {""})):
        return f"answered without a key: {body[:80]!r}"
    if status >= 400 and LEAKED.search(body.decode("utf-8", "replace").replace(unquote(path), "")):
        return f"an error tells too much: {body[:200]!r}"
    return ""
