"""BentoML with two workers; the picture is the body."""

import os
from pathlib import Path

import bentoml
from handler import Handler


@bentoml.service(workers=int(os.environ["BENCH_WORKERS"]))
class Pictures:
    """Answers one picture at a time."""

    def __init__(self) -> None:
        self.handler = Handler()

    @bentoml.api(route="/predict")
    def predict(self, image: Path, /) -> dict:
        """Return the answer to a picture, which BentoML hands over as a file."""
        return self.handler(image.read_bytes())
