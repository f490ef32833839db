"""Decoding in processes that can be lost: what happens to one picture happens to no other."""

from __future__ import annotations

import io
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heic import HEIC
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits, decode
from foveal.data.isolation import seccomp
from foveal.data.isolation.child import work
from foveal.data.isolation.decoder import IsolatedDecoder
from foveal.data.isolation.messages import receive, refused, request, send, sizes
from foveal.errors import (
    ImageError,
    ImageFormatError,
    ImageMemoryError,
    ImageTooLargeError,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")

LIMITS = DecodeLimits(max_bytes=10_000_000, max_pixels=1_000_000, hint="--max-{} N")

# A bug in an image library, as it were: by the width of a BMP, the decoder does what none should.
BUGGY = """
import os, signal, socket, struct
from PIL.BmpImagePlugin import BmpImageFile

opened = BmpImageFile._open

def _open(self):
    data = self.fp.read()
    self.fp.seek(0)
    width, = struct.unpack_from("<i", data, 18)
    if width == 701: os.kill(os.getpid(), signal.SIGSEGV)
    if width == 702:
        while True: pass
    if width == 703: bytearray(1 << 40)
    if width == 704: open("/etc/hostname")
    if width == 705: socket.socket()
    if width == 706: os.fork()
    if width == 707: os.execv("/bin/true", ["true"])
    if width == 708: os.kill(os.getppid(), signal.SIGKILL)
    if width == 709:
        held = []
        while True: held.append(bytearray(1 << 20))
    opened(self)

BmpImageFile._open = _open
"""
CRASH, HANG, HUGE, OPEN, CONNECT, FORK, EXECUTE, KILL, GREEDY = range(701, 710)


def saved(image: PILImage.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bmp(width: int) -> bytes:
    return saved(PILImage.new("RGB", (width, 2), (1, 2, 3)), "BMP")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedDecoder]:
    """Return a decoder whose processes have the bugs above."""
    folder = tmp_path_factory.mktemp("buggy")
    (folder / "sitecustomize.py").write_text(BUGGY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        isolated = IsolatedDecoder(2, timeout_s=60)
        isolated.warm_up()
    yield isolated
    isolated.close()


def pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    image = PILImage.fromarray(rng.integers(0, 256, (40, 56, 3), np.uint8))
    deep = PILImage.fromarray(rng.integers(0, 65536, (40, 56)).astype(np.uint16))
    return {
        "JPEG": saved(image, "JPEG"),
        "progressive JPEG": saved(image, "JPEG", progressive=True),
        "CMYK JPEG": saved(image.convert("CMYK"), "JPEG"),
        "PNG": saved(image, "PNG"),
        "PNG with a palette": saved(image.quantize(8), "PNG", transparency=1),
        "16-bit PNG": saved(deep, "PNG"),
        "WEBP": saved(image, "WEBP"),
        "lossless WEBP": saved(image, "WEBP", lossless=True),
        "animated WEBP": saved(image, "WEBP", save_all=True, append_images=[image.rotate(90)]),
        "AVIF": saved(image, "AVIF"),
        "GIF": saved(image.quantize(16), "GIF"),
        "BMP": saved(image, "BMP"),
        "TIFF": saved(image, "TIFF"),
        "deflate TIFF": saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "JPEG TIFF": saved(image, "TIFF", compression="jpeg"),
    }


@pytest.mark.parametrize(("kind", "data"), pictures().items(), ids=list(pictures()))
def test_pixels_are_those_of_the_decoder_here(
    kind: str, data: bytes, decoder: IsolatedDecoder
) -> None:
    lost = decoder.lost
    picture, own = decoder(data, LIMITS), decode(data, LIMITS)
    np.testing.assert_array_equal(picture.pixels, own.pixels)
    assert (picture.height, picture.width) == (40, 56)
    assert decoder.lost == lost


def test_a_heic_is_decoded_too(decoder: IsolatedDecoder) -> None:
    pytest.importorskip("pi_heif", reason="pi-heif is not installed: pip install 'foveal[heic]'")
    np.testing.assert_array_equal(decoder(HEIC, LIMITS).pixels, decode(HEIC, LIMITS).pixels)


def test_a_picture_may_come_at_a_reduced_scale(decoder: IsolatedDecoder) -> None:
    data = saved(PILImage.new("RGB", (640, 480)), "JPEG")
    picture = decoder(data, LIMITS, min_size=(60, 80))
    assert picture.pixels.shape == (120, 160, 3)
    assert (picture.height, picture.width) == (480, 640)


def test_errors_are_those_of_the_decoder_here(decoder: IsolatedDecoder) -> None:
    lost = decoder.lost
    png = pictures()["PNG"]
    large = saved(PILImage.new("L", (2000, 2000)), "PNG")
    for data in (b"", b"no picture", png[:60], large):
        with pytest.raises(ImageError) as here:
            decode(data, LIMITS)
        with pytest.raises(type(here.value)) as there:
            decoder(data, LIMITS)
        assert there.value.to_json() == here.value.to_json()
    assert type(here.value) is ImageTooLargeError
    with pytest.raises(ImageTooLargeError, match="at most 10"):
        decoder(png, DecodeLimits(max_bytes=10, max_pixels=10))
    assert decoder.lost == lost


def test_a_crash_takes_one_picture_with_it(decoder: IsolatedDecoder) -> None:
    lost = decoder.lost
    with pytest.raises(
        ImageError, match="could not be decoded: the decoding process crashed"
    ) as caught:
        decoder(bmp(CRASH), LIMITS)
    assert caught.value.http_status == 400
    assert decoder(bmp(700), LIMITS).pixels.shape == (2, 700, 3)
    assert decoder.lost == lost + 1


def test_others_go_on_while_pictures_crash(decoder: IsolatedDecoder) -> None:
    good = decode(bmp(700), LIMITS).pixels

    def outcome(width: int) -> bool:
        try:
            return np.array_equal(decoder(bmp(width), LIMITS).pixels, good)
        except ImageError:
            return False

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(outcome, [700, CRASH, 700, 700, CRASH, 700] * 5))
    assert answers == [True, False, True, True, False, True] * 5


def test_a_hang_ends_at_the_time_limit(decoder: IsolatedDecoder) -> None:
    decoder.timeout_s, usual = 0.3, decoder.timeout_s
    try:
        with pytest.raises(ImageError, match=r"not be decoded within 0.3 s") as caught:
            decoder(bmp(HANG), LIMITS)
    finally:
        decoder.timeout_s = usual
    assert caught.value.error_code == "image_timeout"
    assert decoder(bmp(700), LIMITS).pixels.shape == (2, 700, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux only")
@pytest.mark.parametrize("width", [HUGE, GREEDY])
def test_a_bomb_gets_no_more_memory_than_the_limits_need(
    width: int, decoder: IsolatedDecoder
) -> None:
    lost = decoder.lost
    with pytest.raises(ImageMemoryError, match="needs more memory"):
        decoder(bmp(width), LIMITS)
    assert decoder(bmp(700), LIMITS).pixels.shape == (2, 700, 3)
    assert decoder.lost == lost


def test_nothing_can_be_opened(decoder: IsolatedDecoder) -> None:
    with pytest.raises(ImageError, match=r"not permitted|Too many open files"):
        decoder(bmp(OPEN), LIMITS)


@pytest.mark.skipif(not seccomp.is_supported(), reason="system calls cannot be filtered here")
@pytest.mark.parametrize("width", [CONNECT, FORK, EXECUTE, KILL])
def test_what_only_an_intruder_does_ends_the_process(width: int, decoder: IsolatedDecoder) -> None:
    lost = decoder.lost
    with pytest.raises(ImageError, match="the decoding process crashed"):
        decoder(bmp(width), LIMITS)
    assert decoder.lost == lost + 1
    assert decoder(bmp(700), LIMITS).pixels.shape == (2, 700, 3)


def test_secrets_of_the_server_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "12345")
    decoder = IsolatedDecoder(1, timeout_s=60)
    try:
        decoder.warm_up()
        assert decoder._first is not None
        pid = decoder._first[0].pid
        if Path(f"/proc/{pid}/environ").exists():
            assert b"SECRET_KEY" not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        decoder.close()


def test_the_first_process_is_replaced_too() -> None:
    decoder = IsolatedDecoder(1, timeout_s=60)
    try:
        decoder.warm_up()
        assert decoder._first is not None
        first = decoder._first[0]
        first.kill()
        first.wait()
        # Its child may live on for a moment where nothing ties it to its parent.
        process = decoder._free.get()
        assert process is not None
        decoder._discard(process)
        decoder._free.put(None)
        decoder.warm_up()
        assert decoder._first[0].pid != first.pid
    finally:
        decoder.close()


def test_decoders_end_with_the_server() -> None:
    decoder = IsolatedDecoder(1, timeout_s=60)
    decoder.warm_up()
    assert decoder._first is not None
    first = decoder._first[0]
    decoder.close()
    assert first.poll() == 0


def test_the_work_of_a_process() -> None:
    ours, theirs = socket.socketpair()
    file = tempfile.TemporaryFile()
    memory = file.fileno()
    worker = threading.Thread(target=work, args=(theirs, memory, 0))
    worker.start()
    data = pictures()["PNG"]
    with ours, theirs, file:
        os.pwrite(memory, data, 0)
        send(ours, request(len(data), LIMITS, None))
        assert sizes(receive(ours), LIMITS) == (40, 56, 40, 56)
        pixels = np.frombuffer(os.pread(memory, 40 * 56 * 3, 0), np.uint8).reshape(40, 56, 3)
        np.testing.assert_array_equal(pixels, decode(data, LIMITS).pixels)
        send(ours, request(3, LIMITS, (5, 5)))
        assert type(refused(receive(ours))) is ImageFormatError
        ours.shutdown(socket.SHUT_RDWR)
        worker.join()


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"sizes": [1, 2, 3]},
        {"sizes": [2, 2, 1, 2]},
        {"sizes": [1, 1, 1001, 1000]},
        {"sizes": [0, 1, 1, 1]},
        {"sizes": [True, 1, 1, 1]},
        {"sizes": [1.0, 1, 1, 1]},
        {"sizes": "1111"},
    ],
)
def test_a_process_that_was_taken_over_cannot_claim_anything(claim: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sizes of no picture"):
        sizes(claim, LIMITS)


def test_its_errors_are_only_those_of_pictures_and_in_one_line() -> None:
    error = refused({"error": "SystemExit", "message": "a\nb\x1b[31m" + 2000 * "c", "code": 7})
    assert type(error) is ImageError
    assert error.error_code == "image_unreadable"
    assert error.message.startswith("ab[31mccc")
    assert len(error.message) < 1000


def test_messages_that_are_none_are_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\xff\xff\xff\x7f")
        with pytest.raises(ValueError, match="a message of"):
            receive(ours)
        theirs.sendall(b"\x02\0\0\0[]")
        with pytest.raises(ValueError, match="no object"):
            receive(ours)
        # Byte by byte, it would take for ever.
        theirs.sendall(b"\x02\0")
        with pytest.raises(TimeoutError):
            receive(ours, 0.05)
        theirs.close()
        with pytest.raises(EOFError):
            receive(ours)
