"""The body of a request: multipart or JSON to (field, value) pairs, counted while it arrives."""

import asyncio
import base64
import binascii
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .settings import Limits, Refused

NAME = 200  # bytes of a file's name, whose ending is kept; file systems hold 255
FIELDS = 1000  # of a request
SENT = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.ASCII)


class Upload(io.BytesIO):
    """A file of a request, in memory.

    Attributes:
        name: its own name without folders, as results show it.
        folder: the last folder of the name as it was sent, "" without one.
        sha256: of its bytes, hex.
    """

    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        parts = [p for p in re.split(r"[/\\]", name) if p not in ("", ".", "..")]
        parts = [_shortened("".join(filter(str.isprintable, part))) for part in parts]
        self.name = parts[-1] if parts and parts[-1] else "file"
        self.folder = parts[-2] if len(parts) > 1 else ""
        self.sha256 = hashlib.sha256(data).hexdigest()


def _shortened(name: str) -> str:
    return name.encode()[-NAME:].decode("utf-8", "ignore")


@dataclass(frozen=True)
class Sent:
    """An image that was sent before, by the sha256 of its file."""

    sha256: str
    name: str = "image"


class Budget:
    """Bytes of all bodies that are held."""

    def __init__(self, most: float):
        self.most, self.held = most, 0

    @contextmanager
    def account(self):
        """A function that takes bytes for this block; Refused (429) where there are none left."""
        own = 0

        def take(count: int) -> None:
            nonlocal own
            if self.held + count > self.most:
                raise Refused(429, "the server holds too many uploads; try again later",
                              {"Retry-After": "2"})  # fmt: skip
            own += count
            self.held += count

        try:
            yield take
        finally:
            self.held -= own


async def read_fields(request: Request, limits: Limits, take) -> list[tuple[str, object]]:
    """(field, value) pairs of a request in their order; a value is a string, a value of JSON, or an
    Upload. Lists of JSON are one pair an entry.

    Raises Refused: 413 for too many bytes, counted while they arrive, 408 where they stop coming,
    415 for another type of content, 400 for a body that is not what it says."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    stream = _counted(request, limits, take)
    if kind == "multipart/form-data":
        return await _multipart(request, stream, limits)
    if kind in ("application/json", ""):
        return await asyncio.to_thread(_json, b"".join([chunk async for chunk in stream]))
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(b"".join([chunk async for chunk in stream]))
    raise Refused(415, f"content of type {kind[:50]}; send multipart/form-data or application/json")


async def _counted(request: Request, limits: Limits, take) -> AsyncIterator[bytes]:
    most, count = int(limits.megabytes * 1e6), 0
    too_large = Refused(413, f"the request is larger than {limits.megabytes:g} MB",
                        {"Connection": "close"})  # fmt: skip
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most:
        raise too_large
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), limits.upload_timeout)
        except StopAsyncIteration:
            return
        except TimeoutError:
            words = f"no byte of the request arrived for {limits.upload_timeout:g} seconds"
            raise Refused(408, words, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise Refused(400, "the request was cut short") from None
        count += len(chunk)
        if count > most:
            raise too_large
        take(len(chunk))
        yield chunk


class _Parser(MultiPartParser):
    """Starlette's, which also tells whether the closing boundary came."""

    spool_max_size = 1 << 40  # in memory, never on the disk
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _multipart(request: Request, stream, limits: Limits) -> list[tuple[str, object]]:
    most = int(limits.megabytes * 1e6)
    try:
        parser = _Parser(request.headers, stream, max_files=FIELDS, max_fields=FIELDS,
                         max_part_size=most)  # fmt: skip
        form = await parser.parse()
        if not parser.ended:
            raise MultiPartException("it was cut short")
    except MultiPartException as err:
        raise Refused(400, f"the form cannot be read: {err.message}") from err
    return await asyncio.to_thread(_uploaded, form.multi_items())


def _uploaded(items: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """Fields of a form whose files are Uploads."""
    pairs = []
    for field, value in items:
        if not isinstance(value, str):
            with value.file as file:
                data, name = file.read(), value.filename or ""
            if not data and not name:  # the empty file of a page's form
                continue
            value = Upload(data, name or field)
        pairs.append((field, value))
    return pairs


def _urlencoded(body: bytes) -> list[tuple[str, object]]:
    """Texts and numbers, as `curl -d` sends them."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body),
                         max_num_fields=FIELDS, errors="strict")  # fmt: skip
    except ValueError as err:
        raise Refused(400, f"the form cannot be read: {str(err)[:100]}") from err


def _json(body: bytes) -> list[tuple[str, object]]:
    try:
        data = json.loads(body or b"{}", parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as err:
        raise Refused(400, f"the body is not JSON: {str(err)[:100]}") from err
    if not isinstance(data, dict):
        raise Refused(400, "the body is not a JSON object")
    pairs = []
    for field, value in data.items():
        entries = value if isinstance(value, list) else [value]
        pairs += [(field, entry) for entry in entries if entry is not None]
    if len(pairs) > FIELDS:
        raise Refused(400, f"more than {FIELDS} values")
    return pairs


def _once(pairs: list[tuple[str, object]]) -> dict:
    """An object; a key that stands twice would silently lose a value."""
    out: dict[str, object] = {}
    for name, value in pairs:
        if name in out:
            raise Refused(400, f"{name[:50]!r} appears twice in the JSON; give a list")
        out[name] = value
    return out


def _no_number(text: str):
    raise ValueError(f"{text} is not a number in JSON")


def decode_file(field: str, value, index: int) -> Upload:
    """A file sent as base64: a string, a data URL, or {"name": ..., "data": ...}.
    Raises Refused: it is none of these."""
    name = f"{field} {index}"
    if isinstance(value, dict):
        given, value = value.get("name", name), value.get("data")
        name = given if isinstance(given, str) and given else name
    if isinstance(value, str):
        start = DATA_URL.match(value)
        try:
            return Upload(
                base64.b64decode(value[start.end() if start else 0 :], validate=True), name
            )
        except (binascii.Error, ValueError):
            pass
    raise Refused(
        400, f'{field}: send a file, or its bytes in base64: a string, or {{"name": "x", "data": '
        "base64}; paths of the server are not read",
    )  # fmt: skip
