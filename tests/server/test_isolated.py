"""A server with isolated decoding: what a picture does to its decoder, no other request notices."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image as PILImage

from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")

# A bug in an image library, as it were: a BMP of this width ends its process.
BUGGY = """
import os, signal, struct
from PIL.BmpImagePlugin import BmpImageFile

opened = BmpImageFile._open

def _open(self):
    data = self.fp.read()
    self.fp.seek(0)
    if struct.unpack_from("<i", data, 18) == (701,):
        os.kill(os.getpid(), signal.SIGSEGV)
    opened(self)

BmpImageFile._open = _open
"""


@pytest.fixture(scope="module")
def isolated(
    predictor: Predictor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerHandle]:
    """Return a server whose image library has a bug."""
    folder = tmp_path_factory.mktemp("buggy")
    (folder / "sitecustomize.py").write_text(BUGGY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        handle = start_in_thread({"tiny": predictor}, port=0, isolate_decoding=True, threads=2)
    with handle:
        yield handle


def bmp(width: int) -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (width, 20), (240, 240, 240)).save(file, "BMP")
    return file.getvalue()


def test_answers_are_those_without(
    isolated: ServerHandle, server: ServerHandle, dark_png: bytes, bright_jpeg: bytes
) -> None:
    for data in (dark_png, bright_jpeg):
        answers = []
        for handle in (isolated, server):
            url = f"{handle.url}/predict/tiny?explain=true"
            answer = httpx.post(url, content=data, timeout=None, trust_env=False).json()
            del answer["ms"]
            answers.append(answer)
        assert answers[0] == answers[1]


def test_a_crash_is_an_error_of_its_picture_and_the_others_are_answered(
    isolated: ServerHandle,
) -> None:
    def post(width: int) -> httpx.Response:
        url = f"{isolated.url}/predict/tiny"
        return httpx.post(url, content=bmp(width), timeout=None, trust_env=False)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(post, [20, 701, 20, 20] * 3))
    assert [answer.status_code for answer in answers] == [200, 400, 200, 200] * 3
    assert "could not be decoded" in answers[1].json()["error"]
    metrics = httpx.get(f"{isolated.url}/metrics", timeout=None, trust_env=False).text
    assert "foveal_lost_decoders_total 3.0" in metrics
