"""What `foveal serve --isolate-decoding` costs: with and without it, in turns, in one run.

First the time of single pictures, decoded here and in a sandboxed process; then requests a second
of two servers with the same small network, each asked while the other one rests.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

sys.path.insert(0, str(Path(__file__).resolve().parent / "serving"))

from load_client import write_requests
from untrained_classifiers import MODELS, write_untrained

from foveal.bundle import Bundle
from foveal.data.decode import DEFAULT_LIMITS, Decoder, decode
from foveal.data.isolation.decoder import IsolatedDecoder
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread
from outcome import Outcome, add_out, report

_CLIENT = Path(__file__).resolve().parent / "serving" / "load_client.py"
_SIDE = 64
_TIMEOUT_S = 60.0


def main() -> None:
    """Measure, and report the share of the requests that remains."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pictures", type=int, default=100)
    options = parser.parse_args()
    pictures = {
        "JPEG, 256 x 256": (picture(256, "JPEG"), options.pictures),
        "PNG, 256 x 256": (picture(256, "PNG"), options.pictures),
        "JPEG, 12 megapixels, reduced": (picture(3464, "JPEG"), max(3, options.pictures // 20)),
    }
    milliseconds = {
        name: added_ms(data, count, options.rounds) for name, (data, count) in pictures.items()
    }
    shares = {
        clients: server_shares(picture(256, "JPEG"), clients, options.rounds, options.seconds)
        for clients in (1, 16)
    }
    report(
        Outcome(
            claim="isolate_decoding",
            what="requests a second with isolated decoding against without, 16 clients, 64 px CNN",
            unit="ratio",
            values=tuple(shares[16]),
            target=None,
            judged_by="median",
            detail={
                "ms a picture": milliseconds,
                "ratio with 1 client": statistics.median(shares[1]),
            },
        ),
        options.out,
    )


def picture(side: int, kind: str) -> bytes:
    """Return a picture with shapes and some noise, as photographs have."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    smooth = np.stack([y, x, (np.sin(9 * x) * np.cos(7 * y) + 1) / 2], axis=2)
    noisy = 230 * smooth + rng.normal(12, 6, (side, side, 3))
    file = io.BytesIO()
    PILImage.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def added_ms(data: bytes, count: int, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a picture here, isolated, and their difference."""
    isolated = IsolatedDecoder(1, timeout_s=_TIMEOUT_S)
    try:
        isolated.warm_up()
        pairs = [
            [1000 * seconds(decoder, data, count) for decoder in (decode, isolated)]
            for _ in range(rounds)
        ]
    finally:
        isolated.close()
    return {
        "here": statistics.median(here for here, _ in pairs),
        "isolated": statistics.median(there for _, there in pairs),
        "more": statistics.median(there - here for here, there in pairs),
    }


def seconds(decoder: Decoder, data: bytes, count: int) -> float:
    """Return the seconds of one of `count` decodes."""
    start = time.perf_counter()
    for _ in range(count):
        decoder(data, DEFAULT_LIMITS, min_size=(_SIDE, _SIDE))
    return (time.perf_counter() - start) / count


def server_shares(data: bytes, clients: int, rounds: int, seconds: float) -> list[float]:
    """Return, for each round, requests a second with isolation against without."""
    with tempfile.TemporaryDirectory() as place:
        write_untrained(MODELS[0], Path(place) / "bundle")
        predictor = Predictor(Bundle.open(Path(place) / "bundle"))
        head = f"POST /predict/tiny HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n"
        asked = Path(place) / "requests"
        write_requests(asked, [head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + data])
        plain = start_in_thread({"tiny": predictor}, port=0)
        isolated = start_in_thread({"tiny": predictor}, port=0, isolate_decoding=True)
        with plain, isolated:
            ask = partial(rate, asked, clients=clients, seconds=seconds)
            return [ask(isolated) / ask(plain) for _ in range(rounds)]


def rate(asked: Path, server: ServerHandle, *, clients: int, seconds: float) -> float:
    """Return the requests a second that a server answers."""
    port = server.url.rsplit(":", 1)[1].strip("/")
    client = [sys.executable, str(_CLIENT), str(asked)]
    line = [*client, "--port", port, "--clients", str(clients), "--seconds", str(seconds)]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE)
    figures = json.loads(done.stdout)
    if figures["failures"]:
        raise RuntimeError(figures["failures"])
    return float(figures["rate"])


if __name__ == "__main__":
    main()
