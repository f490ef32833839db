"""Object stores on this machine, and a proxy before one that fails as real ones do."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from failing import FailingProxy

import foveal.retries

pytest.importorskip("s3fs", reason="needs foveal[cloud]")
pytest.importorskip("moto", reason="needs moto[s3]")
pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator")

Urls = Callable[[], str]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once: tests that make requests fail would wait for seconds."""
    monkeypatch.setattr(foveal.retries, "FIRST_WAIT_S", 0.001)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Return the address of an S3 emulator; every client of the session finds it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_proxy(moto: str) -> Iterator[FailingProxy]:
    """Return the proxy that all requests to the S3 emulator go through."""
    with FailingProxy(moto) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield proxy


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    """Return the address of an emulator of Google Cloud Storage."""
    from gcp_storage_emulator.server import create_server

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        # Else gcsfs asks by gRPC what a bucket is, which the emulator does not answer.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        patch.setenv("GOOGLE_CLOUD_PROJECT", "testing")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop()


@pytest.fixture
def s3(s3_proxy: FailingProxy) -> Iterator[str]:
    """Return the URL of a new, empty bucket of S3; nothing fails unless the test says so."""
    import s3fs

    s3_proxy.heal()
    name = f"b-{uuid.uuid4().hex[:16]}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    yield f"s3://{name}"
    s3_proxy.heal()


@pytest.fixture
def gs(gcs_server: str) -> str:
    """Return the URL of a new, empty bucket of Google Cloud Storage."""
    import gcsfs

    name = f"b-{uuid.uuid4().hex[:16]}"
    files = gcsfs.GCSFileSystem(token="anon", skip_instance_cache=True)
    files.mkdir(name)
    return f"gs://{name}"


@pytest.fixture(params=["memory", "s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """Return an empty place on each kind of file system."""
    if request.param == "memory":
        return f"memory://b-{uuid.uuid4().hex[:16]}"
    url: str = request.getfixturevalue(request.param)
    return url
