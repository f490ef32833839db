"""Talking to a server in bytes."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")


def connect(url: str) -> socket.socket:
    """Return a connection to the server."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port))


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection, or resets it."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def exchange(url: str, *requests: bytes) -> bytes:
    """Send bytes and return everything until the server closes the connection."""
    with connect(url) as connection:
        for request in requests:
            connection.sendall(request)
        return read_all(connection)


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the answers in a stream."""
    return [int(found) for found in _STATUS.findall(answer)]
