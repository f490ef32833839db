"""A cloud on this machine: Vertex AI and its bucket, without an account."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fake_vertex import FakeVertex, fake_vertex

from foveal import rest
from foveal.jobs.vertex import client, job


@pytest.fixture(scope="session")
def buckets() -> Iterator[None]:
    """Start an emulator of Google Cloud Storage, which every client of the session finds."""
    pytest.importorskip("gcsfs", reason="needs foveal[cloud]")
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="needs the emulator")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        # Else gcsfs asks by gRPC what a bucket is, which the emulator does not answer.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        patch.setenv("GOOGLE_CLOUD_PROJECT", "testing")
        yield
        server.stop()


@pytest.fixture
def bucket(buckets: None) -> str:
    """Return the URL of a new, empty bucket."""
    import gcsfs

    name = f"b-{uuid.uuid4().hex[:16]}"
    gcsfs.GCSFileSystem(token="anon", project="testing", skip_instance_cache=True).mkdir(name)
    return f"gs://{name}"


@pytest.fixture
def vertex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVertex]:
    """Return a Vertex AI that this process and those that it starts ask, without long waits."""
    monkeypatch.setattr(rest, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(client, "_FIRST_POLL_S", 0.01)
    monkeypatch.setattr(job, "_POLL_S", 0.05)
    (tmp_path / "cloud").mkdir()
    with fake_vertex(tmp_path / "cloud") as running:
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", running.url)
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", running.url)
        yield running
