"""Thousands of hostile requests, the same ones each time: pictures, bodies and frames.

    from hostile_requests import requests
    for request in requests("MODEL"): request.name, request.data

Each is what is sent over a connection of its own. Pictures are those of `hostile_pictures`, in
every form in which a protocol carries them; bodies are damaged JSON, multipart and binary tensors
around a good picture; frames are damaged HTTP.
"""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hostile_pictures import DAMAGES, pictures

from small_pictures import small_pictures

_GOOD = list(small_pictures())
_BOUNDARY = "xyzzy"
_MULTIPART = f"multipart/form-data; boundary={_BOUNDARY}"


class Request(NamedTuple):
    """One request.

    Attributes:
        name: What it is called.
        data: Its bytes on the wire.
        is_whole: Whether its frame is right, so that an answer must come.
    """

    name: str
    data: bytes
    is_whole: bool


class _Body(NamedTuple):
    """A body, where it goes and what it is called."""

    path: str
    content_type: str
    content: bytes
    header: str = ""


_Form = Callable[[str, bytes], _Body]


def requests(
    model: str, counts: tuple[int, int, int] = (10_000, 2_000, 2_000), *, bombs: bool = True
) -> Iterator[Request]:
    """Yield hostile requests.

    Args:
        model: Name in the routes of a model that takes any picture.
        counts: How many pictures, bodies and frames.
        bombs: Whether the pictures begin with those that take long to decode.
    """
    forms = (_raw, _raw, _multipart, _json, _tfserving, _oip)
    for number, hostile in enumerate(pictures(counts[0], bombs=bombs)):
        body = forms[number % len(forms)](model, hostile.data)
        yield Request(f"picture/{hostile.name}", _whole(body), is_whole=True)
    for number in range(counts[1]):
        rng = random.Random(f"body/{number}")  # noqa: S311 - to be repeated
        damaged = _damaged_body(model, number, rng)
        yield Request(f"body/{number}", _whole(damaged), is_whole=True)
    for number in range(counts[2]):
        rng = random.Random(f"frame/{number}")  # noqa: S311
        yield Request(f"frame/{number}", _damaged_frame(model, number, rng), is_whole=False)


def _whole(body: _Body) -> bytes:
    head = (
        f"POST {body.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {body.content_type}\r\n{body.header}"
        f"Content-Length: {len(body.content)}\r\n\r\n"
    )
    return head.encode("latin-1") + body.content


def _raw(model: str, picture: bytes) -> _Body:
    return _Body(f"/predict/{model}", "image/jpeg", picture)


def _multipart(model: str, picture: bytes) -> _Body:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    content = head.encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return _Body(f"/predict/{model}", _MULTIPART, content)


def _json(model: str, picture: bytes) -> _Body:
    content = json.dumps({"image": base64.b64encode(picture).decode()}).encode()
    return _Body(f"/predict/{model}", "application/json", content)


def _tfserving(model: str, picture: bytes) -> _Body:
    instances = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
    return _Body(f"/v1/models/{model}:predict", "application/json", json.dumps(instances).encode())


def _oip(model: str, picture: bytes) -> _Body:
    element = struct.pack("<I", len(picture)) + picture
    image = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(element)},
    }
    asked = json.dumps({"inputs": [image]}).encode()
    return _Body(
        f"/v2/models/{model}/infer",
        "application/octet-stream",
        asked + element,
        f"Inference-Header-Content-Length: {len(asked)}\r\n",
    )


_FORMS: tuple[_Form, ...] = (_multipart, _json, _tfserving, _oip)
_LIES: tuple[Callable[[bytes], bytes], ...] = (
    lambda content: b"[" * 100_000 + content,
    lambda content: b'{"instances": ' + b"[1e999," * 1000 + b"]" * 1000 + content,
    lambda content: b"\xff\xfe" + content,
    lambda content: content * 200,
    lambda _: b'{"instances": [' + b",".join([b'{"b64": ""}'] * 5000) + b"]}",
    lambda _: b'{"inputs": [{"name": "image", "shape": [9223372036854775807]}]}',
    lambda _: b"{" + b",".join(b'"%d": null' % n for n in range(200_000)) + b"}",
    lambda _: f"--{_BOUNDARY}\r\n".encode() * 10_000,
)
_TYPES = ("application/json", _MULTIPART, "multipart/form-data", "", "text/plain;;=", "*/*")
_HEADERS = (
    "Inference-Header-Content-Length: 18446744073709551616\r\n",
    "Inference-Header-Content-Length: -1\r\n",
    "Content-Encoding: gzip\r\n",
    "X-Request-Timeout: 1e400\r\n",
    "Expect: 100-continue\r\n",
)


def _damaged_body(model: str, number: int, rng: random.Random) -> _Body:
    body = _FORMS[number % len(_FORMS)](model, _GOOD[number % len(_GOOD)])
    kind = number // len(_FORMS) % 4
    if kind == 0:
        body = body._replace(content=rng.choice(_LIES)(body.content))
    elif kind == 1:
        body = body._replace(content_type=rng.choice(_TYPES))
    elif kind == 2:
        body = body._replace(header=rng.choice(_HEADERS))
    else:
        for _ in range(rng.randint(1, 8)):
            body = body._replace(content=rng.choice(DAMAGES)(body.content or b" ", rng))
    return body


def _damaged_frame(model: str, number: int, rng: random.Random) -> bytes:
    data = _whole((_raw, *_FORMS)[number % 5](model, _GOOD[number % len(_GOOD)]))
    if number % 3 == 0:
        data = _chunked(data, rng)
    head, _, rest = data.partition(b"\r\n\r\n")
    for _ in range(rng.randint(1, 4)):
        head = rng.choice(DAMAGES)(head or b" ", rng)
    return head + b"\r\n\r\n" + rest if rng.random() < 0.8 else head


def _chunked(data: bytes, rng: random.Random) -> bytes:
    """Return a request whose body comes in chunks, one of which lies about its size."""
    head, _, body = data.partition(b"\r\n\r\n")
    head = head.rpartition(b"\r\n")[0] + b"\r\nTransfer-Encoding: chunked"
    size = rng.choice((b"%x" % len(body), b"-1", b"ffffffffffffffff", b"0x10", b"%X;a=b" % 5, b""))
    return head + b"\r\n\r\n" + size + b"\r\n" + body + b"\r\n0\r\n\r\n"
