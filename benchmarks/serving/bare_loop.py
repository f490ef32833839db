"""The bare loop: decode, pre-process, run, write JSON; no server around it.

python benchmarks/serving/bare_loop.py BUNDLE PICTURES --seconds 5 --threads 2
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import orjson

from foveal.bundle import Bundle
from foveal.predict import Predictor


def main() -> None:
    """Answer pictures for some seconds and print one JSON line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("bundle", type=Path)
    made.add_argument("pictures", type=Path, help="a folder")
    made.add_argument("--seconds", type=float, default=5.0)
    made.add_argument("--threads", type=int, required=True, help="of ONNX Runtime")
    options = made.parse_args()
    predictor = Predictor(Bundle.open(options.bundle), threads=options.threads)
    pictures = [path.read_bytes() for path in sorted(options.pictures.iterdir())]
    for data in pictures[:20]:
        answer(predictor, data)
    done, begun, cpu = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - begun) < options.seconds:
        answer(predictor, pictures[done % len(pictures)])
        done += 1
    result = {"rate": done / passed, "cpu_ms": 1000 * (time.process_time() - cpu) / done}
    json.dump(result, sys.stdout)
    print()


def answer(predictor: Predictor, data: bytes) -> bytes:
    """Return the answer as it would be sent."""
    pixels, frame = predictor.prepare(predictor.decode(data))
    (prediction,) = predictor.predict_inputs([pixels], [frame])
    return orjson.dumps(predictor.record(prediction, "upload", 0.0))


if __name__ == "__main__":
    main()
