"""The commands `python -m recutils bundle | serve | key`: arguments in, a bundle, a service or a key out."""

import argparse
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recutils import runs
from recutils.deploy.access import SCOPES, KeyFile, Keys, new_key
from recutils.tables import Problem

SHELF = runs.DATA / "interim" / "shelf"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands; their handlers take the arguments and return the exit code."""
    build = subparsers.add_parser("bundle", help="fit a model and put it on the shelf, or go back to the one before")
    build.add_argument("--data", default="ml-100k", help="a data set's name, or a folder of your own (default ml-100k)")
    build.add_argument("--model", default="ease", help="the model (default ease)")
    build.add_argument("--encoder", default="minilm", help='a checkpoint for texts; "" for none (default minilm)')
    build.add_argument("--rollback", action="store_true", help="serve the version before the present one")
    build.add_argument("--fold", type=Path, metavar="LOG", help="take what this feedback log tells into the served one")
    build.add_argument("--way", default="histories", help="with --fold: histories (remember only), learn or refit")
    build.add_argument("--shelf", type=Path, default=SHELF, help="where bundles lie")
    build.set_defaults(handler=bundle)
    start = subparsers.add_parser("serve", help="answer over HTTP from the bundle on the shelf")
    add = start.add_argument
    add("--shelf", type=Path, default=SHELF, help="where bundles lie")
    add("--host", default=LOOPBACK[0], help="address to listen on (default %(default)s: this machine only)")
    add("--port", type=int, default=8000, help="port (default %(default)s)")
    add(
        "--fd",
        type=int,
        help="an open socket to listen on instead, by its file descriptor; several services may share it",
    )
    add("--keys", type=Path, help="file of keys, made by `python -m recutils key`; needed beyond this machine")
    add("--feedback", type=Path, help="folder in which feedback is kept (default: none is kept)")
    add("--rate", type=float, default=1000.0, help="requests a second that one caller may send; a batch of n counts n")
    start.set_defaults(handler=serve)
    make = subparsers.add_parser("key", help="make an API key, which is shown once, or end one")
    make.add_argument("--file", type=Path, required=True, help="file of keys, made where it is missing")
    make.add_argument("--name", required=True, help="who will hold it")
    make.add_argument("--scopes", nargs="+", choices=SCOPES, default=["read"], help="what it may do (default read)")
    make.add_argument("--days", type=float, help="after which it expires (default: never)")
    make.add_argument("--revoke", action="store_true", help="end the key of this name; a running service sees it")
    make.set_defaults(handler=key)


def bundle(arguments: argparse.Namespace) -> int:
    """Build and publish, fold a log in, or roll back; prints where the served bundle lies."""
    from recutils.data.load import load
    from recutils.deploy.build import build
    from recutils.deploy.shelf import Shelf

    shelf = Shelf(arguments.shelf)
    if arguments.rollback:
        print(f"served: {shelf.rollback()}")
        return 0
    if arguments.fold:
        return _fold(shelf, arguments.fold, arguments.way)
    found = build(load(arguments.data), model=arguments.model, encoder=arguments.encoder)
    print(f"served: {shelf.publish(found)}")
    return 0


def _fold(shelf: Any, log: Path, way: str) -> int:
    """Renew the served bundle from a log; prints what was taken and left out. Raises Problem for no log."""
    from recutils.deploy.bundle import load
    from recutils.deploy.feedback import read
    from recutils.deploy.fold_in import renew

    if not any(log.glob("events-*.jsonl")):
        raise Problem(f"{log} holds no feedback log (events-*.jsonl). Give the folder that `serve --feedback` wrote.")
    found = renew(shelf, load(shelf.current()), read(log), way)
    print(", ".join(f"{name}: {count}" for name, count in found.counts.items()))
    print(f"served: {shelf.current()}")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Answer until stopped. Raises Problem for an open service that others could reach."""
    given = [] if arguments.fd is None else [socket.socket(fileno=arguments.fd)]
    host = given[0].getsockname()[0] if given else arguments.host
    if arguments.keys is None and host not in LOOPBACK:
        raise Problem(f"--host {host} can be reached by others: give --keys, or stay on {LOOPBACK[0]}.")
    import uvicorn

    from recutils.deploy.connection import Connection
    from recutils.deploy.routes import create

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    app = create(settings(arguments))
    print(f"open http://{arguments.host}:{arguments.port}/ in a browser; stop with Ctrl-C")
    asked = uvicorn.Config(
        app, host=arguments.host, port=arguments.port, access_log=False, server_header=False, log_level="warning",
        timeout_graceful_shutdown=10, timeout_keep_alive=15, limit_concurrency=512, h11_max_incomplete_event_size=16384,
        http=Connection, ws="none", proxy_headers=False,  # a caller's word about its own address counts for nothing
    )  # fmt: skip
    server = uvicorn.Server(asked)
    server.run(sockets=given or None)
    return 0 if server.started else 1


def settings(arguments: argparse.Namespace) -> Any:
    """What `serve` starts with: the bundle's own encoder, where it has one."""
    from recutils.deploy.bundle import checked
    from recutils.deploy.guard import Limits
    from recutils.deploy.service import Settings
    from recutils.deploy.shelf import Shelf

    shelf = Shelf(arguments.shelf)
    keys = None if arguments.keys is None else KeyFile(arguments.keys)
    if not 1 <= arguments.rate < float("inf"):
        raise Problem(f"--rate must be 1 request a second or more; got {arguments.rate:g}.")
    hosts = frozenset({*LOOPBACK, "[::1]"}) if keys is None else frozenset()
    limits = Limits(hosts=hosts, rate=arguments.rate, burst=2 * arguments.rate)
    told = checked(shelf.current())["encoder"]
    encode, reader = (None, None) if told is None else _encoder(told["name"])
    return Settings(
        shelf, keys, open_to_all=keys is None, limits=limits, feedback=arguments.feedback, encode=encode, reader=reader,
        encode_later=True,
    )  # fmt: skip


def _encoder(name: str) -> tuple[Any, Any]:
    """The encoder, which loads itself (and torch, for seconds) when the first text comes, and what it is."""
    from recutils.deploy.bundle import Reader
    from recutils.encode import Encoder
    from recutils.encode.checkpoint import find

    found, encoder = find(name), Encoder(name)

    def encode(texts: Sequence[str]) -> Any:
        import torch

        if torch.get_num_threads() > half:
            torch.set_num_threads(half)
        return encoder.encode(texts).vectors

    half = max(1, (os.cpu_count() or 2) // 2)  # the other half answers
    return encode, Reader(found.name, found.hash, found.width)


def key(arguments: argparse.Namespace) -> int:
    """Add a key to a file and show its secret, once; or take one out."""
    if arguments.revoke:
        Keys.load(arguments.file).without(arguments.name).save(arguments.file)
        print(f"revoked: {arguments.name}")
        return 0
    kept = Keys.load(arguments.file).kept if arguments.file.exists() else ()
    if arguments.name in {one.name for one in kept}:
        raise Problem(f"{arguments.file} holds a key called {arguments.name!r} already. Choose another name.")
    secret, made = new_key(arguments.name, arguments.scopes, days=arguments.days)
    Keys((*kept, made)).save(arguments.file)
    print(f"{secret}\n(shown this once; the file keeps only its hash)")
    return 0
