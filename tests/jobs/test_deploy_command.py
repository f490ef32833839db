"""`foveal deploy` against the fake, and asking endpoints with `foveal predict`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import draw_shape
from fake_vertex import FakeVertex

import foveal
from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.errors import UsageError
from foveal.jobs.vertex.models import model_id
from foveal.predict import Predictor
from foveal.predict.asked import Endpoint, read_instances
from foveal.remote import open_url
from foveal.server import start_in_thread

pytestmark = pytest.mark.slow

ON = "vertex:my-project/europe-west4"


@pytest.fixture
def asked_to_deploy(bucket: str, vertex: FakeVertex) -> list[str]:
    return ["--on", ON, "--image", "image:1", "--bucket", bucket]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    draw_shape("circle", np.random.default_rng(0), 32).save(path)
    return path


@pytest.fixture
def served(tiny_bundle: Bundle) -> Iterator[str]:
    """Return the address of a server of foveal's with the tiny bundle."""
    with foveal.load(tiny_bundle.path).serve() as handle:
        yield handle.url


def kinds(vertex: FakeVertex, kind: str) -> list[dict[str, Any]]:
    return [value for name, value in vertex.resources.items() if f"/{kind}/" in name]


def test_a_model_of_a_store_answers_at_an_endpoint(
    asked_to_deploy: list[str],
    vertex: FakeVertex,
    bucket: str,
    tiny_bundle: Bundle,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FOVEAL_STORE", str(tmp_path / "models"))
    store = foveal.open_store()
    store.push(tiny_bundle, "Tiny_1")
    store.promote("Tiny_1:1", "live")
    assert run(["deploy", "Tiny_1@live", *asked_to_deploy, "--json"]) == 0
    deployed = json.loads(capsys.readouterr().out)

    (model,) = kinds(vertex, "models")
    (version,) = model["versions"].values()
    assert version["versionAliases"] == ["live", "default"]
    assert version["containerSpec"]["command"] == ["foveal", "serve"]
    artifact = f"{bucket}/foveal/models/Tiny_1/{tiny_bundle.version}"
    assert version["artifactUri"] == artifact
    assert open_url(artifact).read("model.onnx") == tiny_bundle.read("model.onnx")
    (endpoint,) = kinds(vertex, "endpoints")
    (here,) = endpoint["deployedModels"]
    assert endpoint["trafficSplit"] == {here["id"]: 100}
    assert deployed["url"] == f"{vertex.url}/v1/{endpoint['name']}:predict"

    # The endpoint answers as the container would: with records.
    opened = foveal.load(tiny_bundle.path)
    vertex.predict = lambda instances: [opened(picture).record for _ in instances]
    assert run(["predict", deployed["url"], str(picture), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["label"] == opened(picture).label
    assert record["source"] == str(picture)


def test_deploying_again_changes_nothing_and_another_version_takes_over(
    asked_to_deploy: list[str], vertex: FakeVertex, tiny_bundle: Bundle
) -> None:
    name = str(tiny_bundle.path)
    assert run(["deploy", name, *asked_to_deploy]) == 0
    (endpoint,) = kinds(vertex, "endpoints")
    first = list(endpoint["deployedModels"])
    assert run(["deploy", name, *asked_to_deploy]) == 0
    assert kinds(vertex, "endpoints")[0]["deployedModels"] == first
    asked_to_deploy[asked_to_deploy.index("image:1")] = "image:2"
    assert run(["deploy", name, *asked_to_deploy, "--machine", "n1-standard-4"]) == 0
    (model,) = kinds(vertex, "models")
    assert list(model["versions"]) == ["1", "2"]
    (second,) = kinds(vertex, "endpoints")[0]["deployedModels"]
    assert second["modelVersionId"] == "2"
    assert second["dedicatedResources"]["machineSpec"] == {"machineType": "n1-standard-4"}
    assert kinds(vertex, "endpoints")[0]["trafficSplit"] == {second["id"]: 100}


def test_deploying_again_changes_the_machines(
    asked_to_deploy: list[str], vertex: FakeVertex, tiny_bundle: Bundle
) -> None:
    given = ["deploy", str(tiny_bundle.path), *asked_to_deploy]
    assert run(given) == 0
    (first,) = kinds(vertex, "endpoints")[0]["deployedModels"]
    number = first["id"]
    assert run([*given, "--replicas", "2", "--max-replicas", "5"]) == 0
    # How many there are is changed in place.
    (resized,) = kinds(vertex, "endpoints")[0]["deployedModels"]
    assert resized["id"] == number
    counts = {"minReplicaCount": 2, "maxReplicaCount": 5}
    assert resized["dedicatedResources"] == {
        "machineSpec": {"machineType": "n1-standard-2"},
        **counts,
    }
    # What they are is not: a new deployment takes over.
    more = ["--machine", "n1-standard-8", "--accelerator", "NVIDIA_TESLA_T4"]
    assert run([*given, "--replicas", "2", "--max-replicas", "5", *more]) == 0
    (endpoint,) = kinds(vertex, "endpoints")
    (moved,) = endpoint["deployedModels"]
    assert moved["id"] != number
    assert endpoint["trafficSplit"] == {moved["id"]: 100}
    assert moved["modelVersionId"] == resized["modelVersionId"]
    assert moved["dedicatedResources"]["machineSpec"] == {
        "machineType": "n1-standard-8",
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 1,
    }


@pytest.mark.parametrize("at", range(8))
def test_whichever_request_fails_everything_is_made_once(
    asked_to_deploy: list[str], vertex: FakeVertex, tiny_bundle: Bundle, at: int
) -> None:
    # Lost: the request arrives, its answer does not.
    vertex.failures = [*[None] * at, 0]  # type: ignore[list-item]
    assert run(["deploy", str(tiny_bundle.path), *asked_to_deploy]) == 0
    assert len(kinds(vertex, "endpoints")) == len(kinds(vertex, "models")) == 1
    assert len(kinds(vertex, "models")[0]["versions"]) == 1
    assert len(kinds(vertex, "endpoints")[0]["deployedModels"]) == 1


def test_what_cannot_be_deployed_is_said(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["deploy", str(tiny_bundle.path), "--image", "i"]
    assert run([*given, "--on", "local", "--bucket", "gs://b"]) == 2
    assert "Models are deployed to Vertex AI, not to local" in capsys.readouterr().err
    assert run([*given, "--on", ON, "--bucket", "s3://b"]) == 2
    assert "Vertex AI loads models from gs://BUCKET" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "id_"),
    [("cats", "cats"), ("Cats.v1", "cats-v1"), ("1cats", "m-1cats"), ("a" * 80, "a" * 63)],
)
def test_names_become_identifiers(name: str, id_: str) -> None:
    assert model_id(name) == id_


def test_a_server_is_asked_like_a_model_of_this_machine(
    served: str,
    tiny_bundle: Bundle,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = f"{served}/v1/models/{tiny_bundle.name}"
    (tmp_path / "broken.png").write_bytes(b"no picture")
    asked = ["predict", str(picture), str(tmp_path / "broken.png"), str(picture), "--json"]
    assert run([asked[0], url, *asked[1:]]) == 1
    there = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert run([asked[0], str(tiny_bundle.path), *asked[1:]]) == 1
    here = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for answers in (there, here):
        for answer in answers:
            answer.pop("ms", None)
    assert there[0] == here[0]
    assert there[2] == here[2]
    assert there[1]["source"] == here[1]["source"]
    assert "error" in there[1]

    assert run(["predict", url, str(picture)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["answer", "confidence", "picture"]
    assert str(picture) in table[1]


def test_a_request_in_a_file_is_asked_as_it_is(
    served: str,
    tiny_bundle: Bundle,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import base64

    text = base64.b64encode(picture.read_bytes()).decode()
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"instances": [{"b64": text}] * 2}))
    records = []
    for model in (f"{served}/v1/models/{tiny_bundle.name}:predict", str(tiny_bundle.path)):
        assert run(["predict", "--instances", str(request), model, "--json"]) == 0
        lines = capsys.readouterr().out.splitlines()
        records.append([json.loads(line)["label"] for line in lines])
    assert records[0] == records[1]
    assert len(records[0]) == 2
    request.write_text("{}")
    assert run(["predict", "--instances", str(request), str(tiny_bundle.path)]) == 2
    assert "request.json" in capsys.readouterr().err


def test_other_models_answers_are_shown_as_they_are(vertex: FakeVertex) -> None:
    parent = "projects/my-project/locations/europe-west4"
    made = vertex.answer("POST", f"/v1/{parent}/endpoints", {}, {"displayName": "e"})
    assert "/operations/" in made["name"]
    (endpoint,) = kinds(vertex, "endpoints")
    endpoint["deployedModels"].append({"id": "1", "model": "m", "modelVersionId": "1"})
    vertex.predict = lambda instances: [[0.1, 0.9] for _ in instances]
    asked = Endpoint(f"{vertex.url}/v1/{endpoint['name']}:predict")
    (answer,) = asked.answer_instances([{"x": 1}])
    assert answer.record == {"prediction": [0.1, 0.9], "source": "instance 0"}
    assert (answer.text, answer.confidence) == ("[0.1, 0.9]", None)


def test_keys_stay_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEAL_KEY", "secret")
    with pytest.raises(UsageError, match=r"The key would be sent to example\.org unencrypted"):
        Endpoint("http://example.org/v1/models/cats")
    with pytest.raises(UsageError, match="without a password"):
        Endpoint("https://user:pass@example.org/v1/models/cats")


def test_a_server_that_wants_a_key_is_said_with_how_to_give_one(
    tiny_bundle: Bundle,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("FOVEAL_KEY", raising=False)
    keys = tmp_path / "keys.json"
    key, _ = KeyFile(keys).create("team")
    model = {"tiny": Predictor(tiny_bundle, threads=1)}
    with start_in_thread(model, port=0, keys=keys) as handle:
        url = f"{handle.url}/v1/models/tiny"
        assert run(["predict", url, str(picture)]) == 1
        said = capsys.readouterr().err
        assert "answered 401" in said
        assert "hint: export FOVEAL_KEY=…, or use --key-file FILE" in said
        monkeypatch.setenv("FOVEAL_KEY", key)
        assert run(["predict", url, str(picture)]) == 0


@pytest.mark.parametrize("text", ['{\n "keys": []\n}', "fvl_a\nfvl_b", "schlüssel", "a b"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(
    text: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")
    url = "http://127.0.0.1:9/v1/models/tiny"
    assert run(["predict", url, str(picture), "--key-file", str(path)]) == 2
    said = capsys.readouterr().err
    assert "error: The key is not one word of printable ASCII characters.\nhint: " in said
    assert text not in said


def test_instances_are_read_in_three_forms(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for text in ('{"instances": [1, 2]}', "[1, 2]", "1\n2\n"):
        path.write_text(text)
        assert read_instances(path) == [1, 2]
    for text in ("{x", "[]", "3"):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"r\.json"):
            read_instances(path)


def test_an_address_without_a_model_is_said_with_one_that_has(
    served: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", served, str(picture)]) == 1
    assert "https://HOST/v1/models/NAME" in capsys.readouterr().err


def test_the_most_machines_are_no_fewer_than_the_least(
    asked_to_deploy: list[str], tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["deploy", str(tiny_bundle.path), *asked_to_deploy]
    assert run([*given, "--replicas", "3", "--max-replicas", "2"]) == 2
    assert "--max-replicas must be at least 3" in capsys.readouterr().err
