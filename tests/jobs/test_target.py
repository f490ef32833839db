"""What may be given after `--on`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.errors import UsageError
from foveal.jobs import JobState, Target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("local", Target("local")),
        ("ray:local", Target("ray", address="local")),
        ("ray:auto", Target("ray", address="auto")),
        ("ray://head:10001", Target("ray", address="head:10001")),
        ("ray://[::1]:10001", Target("ray", address="[::1]:10001")),
        (
            "vertex:my-project/europe-west4",
            Target("vertex", project="my-project", region="europe-west4"),
        ),
        ("k8s", Target("k8s")),
        ("slurm", Target("slurm")),
        ("sky", Target("sky")),
    ],
)
def test_a_target_is_read_and_written_back(text: str, target: Target) -> None:
    assert Target.parse(text) == target
    assert str(target) == text
    assert target.is_file == (text in ("k8s", "slurm", "sky"))


def test_ray_alone_is_a_cluster_on_this_machine() -> None:
    assert str(Target.parse("ray")) == "ray:local"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("moon", None),
        ("", None),
        ("locall", "use --on local"),
        ("slrum", "use --on slurm"),
        ("slurm:long", "use --on slurm"),
        ("skyy", "use --on sky"),
        ("K8S", "use --on k8s"),
        ("ray:locl", "use --on ray:local"),
        ("ray:atuo", "use --on ray:auto"),
        ("ray:/head:10001", "use --on ray://head:10001"),
        ("ray:head", "use --on ray://head"),
        ("rya://head", "use --on ray://head"),
        ("ray://", "use --on ray://head.example:10001"),
        ("ray://head:1;rm -rf /", "use --on ray://head.example:10001"),
        ("vertex:my-project", "use --on vertex:my-project/europe-west4"),
        ("vertex:my-project/europe", "use --on vertex:my-project/europe-west4"),
    ],
)
def test_anything_else_is_refused_with_what_was_meant(text: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match="Invalid target") as caught:
        Target.parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("project", ["team", "Shop-Photos", "..", ""])
def test_what_is_no_id_of_a_project_is_said_so(project: str) -> None:
    with pytest.raises(UsageError, match=r"Invalid project .* Expected the id") as caught:
        Target.parse(f"vertex:{project}/europe-west4")
    assert caught.value.hint == "gcloud projects list"


@given(st.text(max_size=40))
def test_whatever_is_read_is_written_back_alike(text: str) -> None:
    try:
        target = Target.parse(text)
    except UsageError:
        return
    assert Target.parse(str(target)) == target


def test_a_job_has_ended_or_not() -> None:
    assert [state for state in JobState if not state.is_final] == ["queued", "running"]
