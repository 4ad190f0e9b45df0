"""The commands `python -m recutils bundle | serve | key`: arguments in, a bundle, a service or a key out."""

import argparse
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recutils import runs
from recutils.deploy.access import SCOPES, KeyFile, Keys, new_key
from recutils.tables import Problem

SHELF = runs.DATA / "interim" / "shelf"
NEW = {"data": "ml-100k", "model": "ease", "encoder": "minilm"}  # what a new bundle is made of
WAYS = {
    "histories": "only what people did is remembered, the model's weights stay (--way refit fits them anew)",
    "learn": "histories, and the model took the events in",
    "refit": "histories, and the model was fitted anew on all of them",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands; their handlers take the arguments and return the exit code."""
    build = subparsers.add_parser("bundle", help="fit a model and put it on the shelf, or go back to the one before")
    build.add_argument("--data", help="a data set's name, or a folder of your own (default ml-100k)")
    build.add_argument("--model", help="the model (default ease)")
    build.add_argument("--encoder", help='a checkpoint for texts; "" for none (default minilm)')
    other = build.add_mutually_exclusive_group()
    other.add_argument("--rollback", action="store_true", help="serve the version before the present one")
    other.add_argument("--serve", metavar="VERSION", help="serve this version, which lies on the shelf already")
    other.add_argument("--fold", type=Path, metavar="LOG", help="take what this feedback log tells into the served one")
    build.add_argument("--way", choices=tuple(WAYS), help="with --fold (default histories: they are remembered only)")
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
    """Build and publish, fold a log in, or serve another version; prints where the served bundle lies.

    Raises Problem for options that do not go together: none is passed over in silence.
    """
    from recutils.deploy.shelf import Shelf

    shelf, given = Shelf(arguments.shelf), [name for name in NEW if getattr(arguments, name) is not None]
    if arguments.way and not arguments.fold:
        raise Problem("--way tells how a feedback log is taken in. cure: give the log, --fold LOG.")
    if given and (arguments.rollback or arguments.serve or arguments.fold):
        raise Problem(f"--{given[0]} makes a new bundle; --rollback, --serve and --fold take what is there. Give one.")
    if arguments.fold:
        return _fold(shelf, arguments.fold, arguments.way or "histories")
    if arguments.rollback:
        print(f"served: {shelf.rollback()}")
    elif arguments.serve:
        print(f"served: {shelf.serve(arguments.serve)}")
    else:
        _build(shelf, **NEW | {name: getattr(arguments, name) for name in given})
    return 0


def _build(shelf: Any, data: str, model: str, encoder: str) -> None:
    from recutils.data.load import load
    from recutils.deploy.build import build

    found = build(load(data), model=model, encoder=encoder)
    told = ", ".join(_figure(one) for one in found.figures)
    print(f"{told}. On the validation part: a check that the bundle is sane, not how good it is.")
    print(f"served: {shelf.publish(found)}")


def _figure(one: Mapping[str, Any]) -> str:
    """A record as a line has room for it: its interval and the number of people with it."""
    ends = "" if one.get("low") is None else f"{one['low']:.3f}..{one['high']:.3f}, "
    return f"{one['metric']}@{one['k']} of {one['model']} {one['value']:.3f} ({ends}n {one['n']:,})"


def _fold(shelf: Any, log: Path, way: str) -> int:
    """Renew the served bundle from a log; prints what was taken and left out. Raises Problem for no log."""
    from recutils.deploy.bundle import load
    from recutils.deploy.feedback import read
    from recutils.deploy.fold_in import renew

    if not any(log.glob("events-*.jsonl")):
        raise Problem(f"{log} holds no feedback log (events-*.jsonl). Give the folder that `serve --feedback` wrote.")
    before = load(shelf.current())
    counts = renew(shelf, before, read(log), way).counts
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    unknown, known = counts.get("unknown item", 0), len(before.items)
    choices = counts["read"] - counts.get("not a choice", 0) - counts.get("repeated id", 0)
    if 2 * unknown > choices:
        told = f"{unknown:,} of {choices:,} choices name items that are not among the {known:,}"
        print(f"{told} of {before.data.get('name', 'the served bundle')}: does this log belong to this data?")
    if counts["taken"]:
        print(f"way: {way}: {WAYS[way]}\nserved: {shelf.current()}")
    else:
        print(f"nothing new; the served bundle stays: {shelf.current()}")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Answer until stopped. Raises Problem for an open service that others could reach, and for an address in use."""
    given = None if arguments.fd is None else socket.socket(fileno=arguments.fd)
    host = given.getsockname()[0] if given else arguments.host
    if arguments.keys is None and host not in LOOPBACK:
        raise Problem(f"--host {host} can be reached by others: give --keys, or stay on {LOOPBACK[0]}.")
    from recutils.deploy.door import bound
    from recutils.deploy.shelf import Shelf

    folder = Shelf(arguments.shelf).current()
    with given or bound(host, arguments.port) as door:  # before seconds are spent on what could not be served
        print(f"loading bundle {folder.name}; the address follows", flush=True)
        return _answer(arguments, door)


def _answer(arguments: argparse.Namespace, door: socket.socket) -> int:
    """Serve on a socket that listens, until stopped; the exit code."""
    from recutils.deploy.door import Server, address, leave
    from recutils.deploy.routes import create

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells of each way of loading that it did not take
    app = create(settings(arguments))
    service, where = app.state.service, address(door)

    def ready() -> None:
        told = f"{service.served()}; texts are met by {service.texts}"
        print(f"ready: open {where} in a browser; {told}; stop with Ctrl-C", flush=True)

    server = Server(app, ready)
    try:
        server.run(sockets=[door])
    except KeyboardInterrupt:
        if service.batcher and service.batcher.busy:
            leave()
        raise
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
