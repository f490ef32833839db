"""A server of drawn pictures on listing pages, light enough not to be what is measured.

    python benchmarks/curation/picture_site.py PORT COUNT

`/list/N` lists 100 pictures and links to the next page; `/hits` says how often each address was
asked for, as JSON.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections import Counter

import numpy as np
from PIL import Image

EACH = 100


def answers(count: int) -> dict[bytes, bytes]:
    """Return path → the whole HTTP answer."""
    rng = np.random.default_rng(0)
    found = {}
    for i in range(count):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(file, "JPEG")
        found[f"/p/{i}.jpg".encode()] = _http(file.getvalue(), b"image/jpeg")
    for page in range(count // EACH):
        items = "".join(
            f'<li class="ad"><h3>Ad {i}</h3><img src="/p/{i}.jpg"></li>'
            for i in range(page * EACH, (page + 1) * EACH)
        )
        link = f'<a class="next" href="/list/{page + 1}">next</a>'
        text = (
            f"<html><body><ul>{items}</ul>{link if page + 1 < count // EACH else ''}</body></html>"
        )
        found[f"/list/{page}".encode()] = _http(text.encode(), b"text/html")
    return found


def _http(body: bytes, kind: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


class Protocol(asyncio.Protocol):
    """Answers requests one after the other."""

    found: dict[bytes, bytes]
    hits: Counter[str]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            request, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            path = request.split(b" ", 2)[1]
            if path == b"/hits":
                body = json.dumps(self.hits).encode()
                self.transport.write(_http(body, b"application/json"))  # type: ignore[attr-defined]
                continue
            self.hits[path.decode()] += 1
            missing = _http(b"", b"text/plain", b"404 Not Found")
            self.transport.write(self.found.get(path, missing))  # type: ignore[attr-defined]


async def main(port: int, count: int) -> None:
    """Serve until the process ends."""
    Protocol.found, Protocol.hits = answers(count), Counter()
    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
