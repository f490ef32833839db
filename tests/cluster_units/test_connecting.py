"""What a process says that cannot connect to a cluster."""

from types import SimpleNamespace

import pytest

from foveal.cluster import connect
from foveal.errors import FovealError
from foveal.jobs.target import Target

_MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.54.0
    Python: 3.12.3
This process was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        # Which versions do not match is on the further lines.
        (
            _MISMATCH,
            "Version mismatch: The cluster was started with: Ray: 2.54.0 Python: 3.12.3 This "
            "process was started with: Ray: 2.60.0 Python: 3.11.7",
        ),
        ("No room\nTraceback", "No room"),
        ("", "RuntimeError"),
    ],
)
def test_an_error_of_ray_is_one_line(
    said: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: object) -> None:
        raise RuntimeError(said)

    ray = SimpleNamespace(init=init, is_initialized=lambda: False)
    monkeypatch.setattr(connect, "import_ray", lambda: ray)
    with (
        pytest.raises(FovealError) as caught,
        connect.connected(Target.parse("ray:local")),
    ):
        pass
    assert caught.value.message == f"Cannot start Ray or connect to it: {shown}"


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class ActorDiedError(RayError):
    pass


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a cluster already."""
    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    ray = SimpleNamespace(is_initialized=lambda: True, exceptions=exceptions)
    monkeypatch.setattr(connect, "import_ray", lambda: ray)


def test_a_cluster_that_fails_is_no_fault_of_ours(joined: None) -> None:
    with (
        pytest.raises(
            FovealError, match="The Ray cluster failed: ActorDiedError: it died"
        ) as caught,
        connect.connected(Target.parse("ray:auto")),
    ):
        raise ActorDiedError("\nit died\nbecause")
    assert caught.value.hint is not None


def test_what_a_task_raised_stays_what_it_is(joined: None) -> None:
    with pytest.raises(RayTaskError), connect.connected(Target.parse("ray:auto")):
        raise RayTaskError("ours")
