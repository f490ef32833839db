"""The decoding side: a process that forks decoders, and the decoders themselves.

The first process imports and warms up all that decoding needs, once; its children share that memory
and start in milliseconds, so that replacing one that was lost costs little. It sees no picture of
strangers itself, and holds no thread.
"""

from __future__ import annotations

import io
import os
import selectors
import signal
import socket
import sys
from typing import NoReturn

import numpy as np
from PIL import AvifImagePlugin
from PIL import Image as PILImage

from foveal.data.boundary import refusing
from foveal.data.decode import DecodeLimits, decode, plugin
from foveal.data.isolation.commands import COMMAND, KILL, START
from foveal.data.isolation.messages import receive, refusal, send
from foveal.data.isolation.sandbox import enter_sandbox, limit_memory, used_bytes
from foveal.errors import ImageError
from foveal.extras import import_extra

_WARM_UP = DecodeLimits(max_bytes=1_000_000, max_pixels=10_000)


def main(descriptor: int) -> None:
    """Start and end decoders on command of the server; exit with the server.

    Args:
        descriptor: File descriptor of the socket on which commands come.
    """
    # Those of the terminal are for the server, which ends this process when it ends.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    warm_up()
    control = socket.socket(fileno=descriptor)
    children: dict[int, int] = {}
    waker, woken = socket.socketpair()
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                elif not _obey(control, children):
                    _end(children)
                    return
            _reap(children)


def warm_up() -> None:
    """Use every decoder once; in the sandbox, nothing can be imported or read from files."""
    # Each decoder has a process; a picture of strangers gets no further threads.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    image = PILImage.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3))
    grey = image.convert("L")
    for kind, picture, options in (
        ("JPEG", image, {}),
        ("JPEG", image, {"progressive": True}),
        ("JPEG", image.convert("CMYK"), {}),
        ("PNG", image.convert("RGBA"), {}),
        ("PNG", grey.convert("I;16"), {}),
        ("WEBP", image, {}),
        ("WEBP", image, {"lossless": True}),
        ("AVIF", image, {}),
        ("GIF", image.quantize(16), {}),
        ("BMP", image, {}),
        ("TIFF", image, {}),
        ("TIFF", image, {"compression": "tiff_lzw"}),
        ("TIFF", image, {"compression": "tiff_adobe_deflate"}),
        ("TIFF", image, {"compression": "jpeg"}),
    ):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        data = file.getvalue()
        for cut in (data, data[: len(data) // 2]):
            try:
                decode(cut, _WARM_UP)
            except ImageError:
                continue
    try:
        plugin("HEIC")
    except ImageError:
        return
    import_extra("pi_heif.options", "heic", "Decoding HEIC needs pi-heif").DECODE_THREADS = 1


def _obey(control: socket.socket, children: dict[int, int]) -> bool:
    """Execute one command; return False if the server has exited."""
    command, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 2)
    if len(command) < COMMAND.size:
        return False
    kind, number = COMMAND.unpack(command)
    if kind == START:
        channel, pixels = descriptors
        pid = os.fork()
        if pid == 0:
            _work_and_exit(channel, pixels)
        children[number] = pid
        for descriptor in descriptors:
            os.close(descriptor)
    elif kind == KILL and number in children:
        os.kill(children[number], signal.SIGKILL)
    return True


def _reap(children: dict[int, int]) -> None:
    for number, pid in list(children.items()):
        if os.waitpid(pid, os.WNOHANG)[0]:
            del children[number]


def _end(children: dict[int, int]) -> None:
    for pid in children.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _work_and_exit(channel: int, pixels: int) -> NoReturn:
    status = 1
    try:
        used = used_bytes()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Of other decoders and of the server, nothing is in reach.
        kept = (0, 1, 2, channel, pixels)
        for descriptor in range(3, max(256, *kept) + 1):
            if descriptor not in kept:
                _close(descriptor)
        asking = socket.socket(fileno=channel)
        enter_sandbox()
        work(asking, pixels, used)
        status = 0
    finally:
        # No handlers of the first process run here.
        os._exit(status)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return


def work(channel: socket.socket, pixels: int, used: int) -> None:
    """Decode pictures until the server exits.

    Args:
        channel: Where requests come from and answers go.
        pixels: Descriptor of the memory that has the file, and then the pixels.
        used: Bytes of address space of this process; 0 sets no limits.
    """
    while True:
        try:
            asked = receive(channel)
        except EOFError:
            return
        limits = DecodeLimits(asked["max_bytes"], asked["max_pixels"], asked["hint"])
        min_size = tuple(asked["min_size"]) if asked["min_size"] else None
        if used:
            limit_memory(used, asked["size"], limits.max_pixels)
        try:
            with refusing("The picture cannot be decoded"):
                picture = decode(_read(pixels, asked["size"]), limits, min_size=min_size)
                _write(pixels, picture.pixels.data.cast("B"))
        except ImageError as error:
            send(channel, refusal(error))
        else:
            height, width = picture.pixels.shape[:2]
            send(channel, {"sizes": [height, width, picture.height, picture.width]})
            # Or it stays until the next one.
            del picture


def _read(descriptor: int, size: int) -> bytes:
    data = os.pread(descriptor, size, 0)
    if len(data) < size:
        raise EOFError("the file was not handed over")
    return data


def _write(descriptor: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], done)


if __name__ == "__main__":
    main(int(sys.argv[1]))
