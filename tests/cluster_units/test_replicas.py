"""What is served on a cluster, and what a cluster cannot serve."""

from __future__ import annotations

from pathlib import Path

import pytest

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.cluster.serve import Replicas, everywhere, serve_on
from foveal.errors import UsageError
from foveal.jobs.target import Target
from foveal.predict import Predictor
from foveal.server.models.offer import Wanted
from foveal.server.options import ServerOptions


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2", Replicas(2, 2)), ("1:4", Replicas(1, 4)), ("3:3", Replicas(3, 3))],
)
def test_replicas_are_a_number_or_two(text: str, expected: Replicas) -> None:
    assert Replicas.parse(text) == expected


@pytest.mark.parametrize("text", ["0", "4:1", "many", "", "1:", "1:2:3", "-1"])
def test_other_numbers_of_replicas_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Expected N or MIN:MAX"):
        Replicas.parse(text)


def test_names_mean_the_same_in_another_folder(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    foveal.open_store("models").push(tiny_bundle, "cats")
    tiny_bundle.pack(tmp_path / "dogs.foveal")
    wanted = everywhere(Wanted(["cats@live", "dogs.foveal", f"{tiny_bundle.path},dogs.foveal"]))
    dogs = f"{tmp_path}/dogs.foveal"
    expected = [f"{tmp_path}/models/cats@live", dogs, f"{tiny_bundle.path},{dogs}"]
    assert list(wanted.models) == expected
    assert everywhere(Wanted(store="models")).store == f"{tmp_path}/models"
    assert everywhere(Wanted(store="s3://bucket/models")).store == "s3://bucket/models"


@pytest.mark.parametrize("name", ["expired.pem", "none.pem"])
def test_on_a_cluster_an_expired_certificate_is_warned_of_where_it_is_there(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Connecting(Exception):
        pass

    def connected(target: Target) -> None:
        raise Connecting

    def open_path(path: str | Path) -> Predictor:
        raise NotImplementedError

    monkeypatch.setattr("foveal.cluster.serve.connected", connected)
    tls = Path(__file__).parents[1] / "server" / "tls"
    options = ServerOptions(tls_cert=tls / name, tls_key=tls / "first.key")
    with pytest.raises(Connecting):
        serve_on(Target.parse("ray:local"), Wanted(["cats"]), open_path, options, Replicas())
    assert ("expired on 2021-02-01" in caplog.text) == (name == "expired.pem")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--replicas", "2"], "--replicas needs --on"),
        (["--on", "ray:local", "--workers", "2"], "where processes are replicas"),
        (["--on", "ray:local", "--grpc-port", "8001"], "over HTTP only"),
        (["--on", "ray:local", "--host", "unix:/tmp/x"], "cannot listen on a Unix socket"),
        (["--on", "ray:local", "--replicas", "9:1"], "Expected N or MIN:MAX"),
        (["--on", "k8s"], "Cannot run on k8s"),
        (["--on", "ray:local", "--host", "0.0.0.0"], "there are no keys"),
    ],
)
def test_what_a_cluster_cannot_serve_is_said_at_once(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert run(["serve", str(tiny_bundle.path), *options]) == 2
    assert said in capsys.readouterr().err
