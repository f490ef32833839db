"""List a million small objects behind an S3 URL, and train on a sample of them: time and memory.

No emulator holds a million objects in a reasonable time, so a server of this script answers the
two requests that matter, as S3 does: pages of a thousand keys of `list-type=2`, and the objects,
which are a few small pictures under a million names. Everything else is s3fs and foveal.

Each part runs in a process of its own, whose peak memory the system tells; `fsspec` lists with
`find`, as foveal did before.

    python benchmarks/scale/million_objects.py [--objects 1000000] [--classes 100] [--sample 2000]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

_PAGE = 1000
_BUCKET = "pictures"
# Different pictures of each class.
_VARIANTS = 16
_HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>pictures</Name>'


class FakeListing:
    """The names of the objects, computed; they are sorted as S3 sorts them."""

    def __init__(self, objects: int, classes: int) -> None:
        self.objects, self.classes = objects, classes
        self.each = objects // classes

    def key(self, number: int) -> str:
        """Return the key of an object."""
        label, photo = divmod(number, self.each)
        return f"photos/class-{label:03d}/photo-{photo:07d}.png"

    def span(self, prefix: str) -> tuple[int, int]:
        """Return the first number of a prefix, and the one after the last."""
        rest = prefix.removeprefix("photos/").strip("/")
        if not rest:
            return 0, self.objects
        if not rest.removeprefix("class-").isdecimal():
            return 0, 0
        label = int(rest.removeprefix("class-"))
        return label * self.each, (label + 1) * self.each

    def page(self, query: dict[str, list[str]]) -> str:
        """Return a page of `list-type=2`."""
        prefix = query.get("prefix", [""])[0]
        most = min(_PAGE, int(query.get("max-keys", ["1000"])[0]))
        if query.get("delimiter", [""])[0] and prefix == "photos/":
            tops = "".join(
                f"<CommonPrefixes><Prefix>photos/class-{i:03d}/</Prefix></CommonPrefixes>"
                for i in range(self.classes)
            )
            return f"{_HEAD}<IsTruncated>false</IsTruncated>{tops}</ListBucketResult>"
        first, last = self.span(prefix)
        start = int(query["continuation-token"][0]) if "continuation-token" in query else first
        end = min(last, start + most)
        more = (
            f"<IsTruncated>true</IsTruncated><NextContinuationToken>{end}</NextContinuationToken>"
            if end < last
            else "<IsTruncated>false</IsTruncated>"
        )
        contents = "".join(
            f"<Contents><Key>{self.key(n)}</Key><LastModified>2026-11-01T00:00:00.000Z"
            f'</LastModified><ETag>"{n:032x}"</ETag><Size>150</Size>'
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for n in range(start, end)
        )
        return f"{_HEAD}{more}<KeyCount>{end - start}</KeyCount>{contents}</ListBucketResult>"


def picture(label: int, variant: int) -> bytes:
    """Return a small picture that shows its class; pictures that are alike stay on one side."""
    colour = np.random.default_rng(label).integers(0, 256, 3)
    noise = np.random.default_rng((label, variant)).integers(0, 256, (12, 12, 3))
    pixels = ((colour + noise) // 2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def serve(objects: int, classes: int) -> ThreadingHTTPServer:
    """Start the server in threads of this process."""
    listing = FakeListing(objects, classes)
    pictures = [[picture(label, i) for i in range(_VARIANTS)] for label in range(classes)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query, keep_blank_values=True)
            if "list-type" in query:
                self._answer(200, listing.page(query).encode(), "application/xml")
                return
            label = url.path.split("class-")[-1][:3]
            photo = url.path.removesuffix(".png").rpartition("-")[2]
            known = label.isdecimal() and photo.isdecimal()
            content = pictures[int(label)][int(photo) % _VARIANTS] if known else b""
            self._answer(206 if self.headers.get("Range") else 200, content, "image/png")

        def do_HEAD(self) -> None:
            is_bucket = urlsplit(self.path).path.strip("/") == _BUCKET
            self._answer(200 if is_bucket else 404, b"", "application/xml")

        def _answer(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Last-Modified", formatdate(usegmt=True))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:32]}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def work(what: str, folder: str, sample: int) -> None:
    """Do one part in this process, and print seconds and how much its memory grew."""
    url = f"s3://{_BUCKET}/photos"
    # What every part imports is no part of what the listing takes.
    import s3fs

    import foveal
    from foveal.data.layouts import open_source

    s3fs.S3FileSystem().exists(_BUCKET)
    if what == "train":
        import foveal.workflow.train
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.monotonic()
    if what == "fsspec":
        words = f"{len(s3fs.S3FileSystem().find(url, detail=True)):,} objects"
    elif what == "list":
        words = open_source(url).layout
    else:
        settings = (f"data.sample={sample}", "model.backbone=cnn2", "pipeline.image_size=12")
        more = ("data.near_duplicate_distance=0", "train.batch_size=64")
        model = foveal.train(
            url, out=folder, epochs=1, overrides=(*settings, *more), device="cpu", verbose=False
        )
        words = f"{model.bundle.manifest.data['samples']:,} pictures"
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what}: {seconds:.1f} s, peak {peak:,.0f} MiB, {peak - before:,.0f} MiB more than "
        f"before ({words})",
        flush=True,
    )


def main() -> None:
    """Serve, list, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--sample", type=int, default=2000)
    parser.add_argument("--parts", nargs="+", default=["fsspec", "list", "train"])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(*given.work, given.sample)
        return
    server = serve(given.objects, given.classes)
    with tempfile.TemporaryDirectory(prefix="objects-") as folder:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "XDG_CACHE_HOME": str(Path(folder) / "cache"),
        }
        for what in given.parts:
            args = [sys.executable, __file__, "--sample", str(given.sample)]
            subprocess.run([*args, "--work", what, folder], env=environment, check=True)


if __name__ == "__main__":
    main()
