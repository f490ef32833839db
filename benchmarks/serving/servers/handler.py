"""What each of the other servers does with a picture.

The same network and ONNX Runtime as foveal's, and no check of what comes: no limits, no
orientation, no calibration, no `unsure`. It decodes with Pillow, as their tutorials do; with
`BENCH_DECODER=simplejpeg` it does what is fastest, and what foveal does too. Nothing here imports
foveal: it runs in the other servers' own environments. Settings come from the environment, because
some of these servers start their own processes: `BENCH_MODEL` (a file), `BENCH_SIDE`,
`BENCH_THREADS`.
"""

from __future__ import annotations

import io
import os

import numpy as np
import onnxruntime as ort
import simplejpeg
from PIL import Image


class Handler:
    """A picture in, a label and its scores out."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("BENCH_THREADS", "1"))
        options.inter_op_num_threads = 1
        # Several processes share the cores: spinning threads would take them from one another.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self._side = int(os.environ["BENCH_SIDE"])
        self._is_fast = os.environ.get("BENCH_DECODER") == "simplejpeg"
        self(_grey())

    def pixels(self, data: bytes) -> np.ndarray:
        """Return the model input of a JPEG, (side, side, 3) uint8."""
        side = self._side
        if not self._is_fast:
            with Image.open(io.BytesIO(data)) as image:
                return np.asarray(image.convert("RGB").resize((side, side)))
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=2 * side, min_width=2 * side)
        resized = Image.fromarray(pixels).resize(
            (side, side), Image.Resampling.BILINEAR, reducing_gap=3.0
        )
        return np.asarray(resized)

    def answers(self, inputs: np.ndarray) -> list[dict]:
        """Return the answers to (N, side, side, 3) uint8."""
        (logits,) = self._session.run(["logits"], {"image": inputs})
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        return [{"label": f"class {row.argmax():02d}", "scores": row.tolist()} for row in shares]

    def __call__(self, data: bytes) -> dict:
        """Return the answer to the bytes of one JPEG."""
        return self.answers(self.pixels(data)[None])[0]


def _grey() -> bytes:
    return simplejpeg.encode_jpeg(np.full((256, 256, 3), 128, np.uint8))
