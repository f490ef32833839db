"""`POST /feedback`, over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.curation.feedback import Feedback, read_feedback
from foveal.errors import UsageError
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.server.options import ServerOptions


@pytest.fixture
def collecting(tmp_path: Path, predictor: Predictor) -> Iterator[Callable[..., httpx.Client]]:
    """Return a function that starts a server of `tiny` that keeps feedback in tmp_path/kept."""
    handles: list[ServerHandle] = []
    clients: list[httpx.Client] = []

    def start(**changes: Any) -> httpx.Client:
        models = changes.pop("models", {"tiny": predictor})
        handles.append(start_in_thread(models, port=0, collect=tmp_path / "kept", **changes))
        clients.append(httpx.Client(base_url=handles[-1].url))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for handle in handles:
        handle.stop()


@pytest.fixture(scope="module")
def refusing(
    tmp_path_factory: pytest.TempPathFactory, predictor: Predictor
) -> Iterator[tuple[httpx.Client, Path]]:
    """Return a client for what is refused, and the parent of the folder that stays empty."""
    path = tmp_path_factory.mktemp("refusing")
    with (
        start_in_thread({"tiny": predictor}, port=0, collect=path / "kept") as handle,
        httpx.Client(base_url=handle.url) as client,
    ):
        yield client, path


def kept_in(tmp_path: Path) -> list[Feedback]:
    return list(read_feedback(tmp_path / "kept"))


def test_a_correction_is_kept_with_the_picture_and_the_answer(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes, predictor: Predictor
) -> None:
    client = collecting()
    form = {"model": "tiny", "label": "square"}
    answer = client.post("/feedback", files={"file": dark_png}, data=form)
    version = predictor.bundle.version
    assert answer.status_code == 201
    assert answer.json() == {"id": 1, "new": True, "right": False, "version": version}
    again = client.post("/feedback", files={"file": dark_png}, data=form)
    assert (again.status_code, again.json()["new"]) == (200, False)
    body = {"image": base64.b64encode(dark_png).decode(), "right": True}
    assert client.post("/feedback", json=body).json()["right"] is True
    wrong, right = kept_in(tmp_path)
    assert (tmp_path / "kept" / wrong.image).read_bytes() == dark_png
    assert wrong.said.answer == ("circle",)
    assert (wrong.said.truth, wrong.said.right, wrong.said.version) == (("square",), False, version)
    assert (right.said.truth, right.said.right, right.said.by) == (("circle",), True, None)
    counted = client.get("/metrics").text
    assert 'foveal_feedback_total{model="tiny",said="wrong"} 1.0' in counted
    assert 'foveal_feedback_total{model="tiny",said="right"} 1.0' in counted
    # It was asked again because of the feedback, not by anyone who wants an answer.
    assert "foveal_predictions_total{" not in counted


def test_nothing_is_offered_or_kept_without_the_option(
    client: httpx.Client, dark_png: bytes
) -> None:
    assert client.post("/feedback", files={"file": dark_png}).status_code == 404
    assert "feedback" not in client.get("/models").json()
    assert "/feedback" not in client.get("/openapi.json").json()["paths"]
    page = client.get("/").text
    assert "are not stored" in page
    assert 'class="feedback"' not in page


def test_the_page_says_what_is_kept(collecting: Callable[..., httpx.Client]) -> None:
    client = collecting(collect_unsure=True)
    assert client.get("/models").json()["feedback"] == {"new_labels": False, "keeps_unsure": True}
    page = client.get("/").text
    assert "stores pictures that the model is unsure of" in page
    assert "and are not stored.</p>" not in page
    assert "POST /feedback" in client.get("/docs").text
    assert "/feedback" in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 400, "Expected either 'label' (what the picture shows)"),
        ({"label": "sqare"}, 400, "square"),
        ({"label": "<script>alert(1)</script>"}, 400, "Unknown"),
        ({"label": "../../x"}, 400, "Unknown"),
        ({"label": ""}, 400, "exactly one"),
        ({"text": "AB"}, 400, "Expected 'label' for this model"),
        ({"label": "square", "right": "true"}, 400, "either"),
        ({"right": "perhaps"}, 400, "true or false"),
        ({"lable": "square"}, 400, "Did you mean 'label'"),
        ({"label": "square", "note": "x" * 1001}, 400, "longer than 1000"),
        ({"label": "square", "note": "a\x00b"}, 400, "control characters"),
        ({"label": "\u202esquare"}, 400, "control characters"),
        ({"label": "square", "model": "other"}, 404, "other"),
        ({"right": "true", "version": "0" * 12}, 409, "has changed"),
        ({"label": ["square"] * 40}, 400, "parts"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    refusing: tuple[httpx.Client, Path],
    dark_png: bytes,
    fields: dict[str, Any],
    status: int,
    words: str,
) -> None:
    client, path = refusing
    answer = client.post("/feedback", files={"file": dark_png}, data=fields)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    assert kept_in(path) == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"\xff\xd8 raw", "image/jpeg", 400),
        (b"[]", "application/json", 400),
        (b'{"image": "AAAA", "label": 3}', "application/json", 400),
        (b'{"label": "square"}', "application/json", 400),
        (b'{"image": "bm9uZQ==", "label": "square"}', "application/json", 415),
        (b"--b\r\nno end", "multipart/form-data; boundary=b", 400),
        (b"", "multipart/form-data; boundary=b", 400),
    ],
)
def test_other_bodies_are_refused(
    refusing: tuple[httpx.Client, Path], content: bytes, kind: str, status: int
) -> None:
    client, path = refusing
    answer = client.post("/feedback", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert kept_in(path) == []


@pytest.mark.parametrize("name", ["triangle", "rhombus, flat", "Ünïted"])
def test_new_classes_are_taken_where_that_was_asked_for(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes, name: str
) -> None:
    client = collecting(collect_new_labels=True)
    assert client.post("/feedback", files={"file": dark_png}, data={"label": name}).is_success
    assert kept_in(tmp_path)[0].said.truth == (name,)
    # Names of folders are counted in bytes, and some are passed over by readers.
    too_long, passed_over = "\u540d" * 90, "__MACOSX"
    odd_names = ("../x", "a/b", ".hidden", "_x", " ", "a|b", "x" * 101, "<b>", "nul\x00")
    for odd in (*odd_names, too_long, passed_over, "Thumbs.db"):
        answer = client.post("/feedback", files={"file": dark_png}, data={"label": odd})
        assert answer.status_code == 400, odd


def test_texts_and_masks_have_feedback_too(
    collecting: Callable[..., httpx.Client],
    tmp_path: Path,
    tiny_reader: Bundle,
    tiny_masks: Bundle,
    dark_png: bytes,
) -> None:
    models = {
        "reader": Predictor(tiny_reader, threads=1),
        "masks": Predictor(tiny_masks, threads=1),
    }
    client = collecting(models=models)

    def send(**fields: str) -> httpx.Response:
        return client.post("/feedback", files={"image": dark_png}, data=fields)

    assert "The field 'model' is required" in send(text="AB").json()["error"]
    assert send(model="reader", text="AXB").status_code == 400
    assert send(model="reader", text="AB").json()["right"] is False
    assert send(model="masks", label="disc").status_code == 400
    assert send(model="masks", right="true").json()["right"] is True
    assert send(model="masks", right="false", note="the left disc is cut off").status_code == 201
    text, right, wrong = kept_in(tmp_path)
    assert (text.said.target, text.said.truth) == ("text", ("AB",))
    assert right.mask is not None
    assert right.said.classes == tuple(tiny_masks.manifest.labels)
    assert (tmp_path / "kept" / right.mask).read_bytes().startswith(b"\x89PNG")
    assert (wrong.mask, wrong.said.note) == (None, "the left disc is cut off")


def test_a_client_that_sends_too_much_waits(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes, bright_jpeg: bytes
) -> None:
    client = collecting(collect_rate="2/h")
    for picture in (dark_png, bright_jpeg):
        assert client.post("/feedback", files={"file": picture}, data={"right": "1"}).is_success
    refused = client.post("/feedback", files={"file": dark_png}, data={"right": "0"})
    assert refused.status_code == 429
    assert 1700 < int(refused.headers["retry-after"]) <= 1800
    # Who asks is not slowed down by it.
    assert client.post("/predict/tiny", content=dark_png).is_success
    assert len(kept_in(tmp_path)) == 2


def test_unsure_pictures_do_not_use_up_what_people_may_say(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes, grey_png: bytes
) -> None:
    client = collecting(collect_unsure=True, collect_rate="2/h")
    # The ends differ, so each is another picture; only two an hour are kept.
    for count in range(4):
        assert client.post("/predict/tiny", content=grey_png + bytes(count)).json()["unsure"]
    for right in ("1", "0"):
        sent = client.post("/feedback", files={"file": dark_png}, data={"right": right})
        assert sent.is_success, sent.text
    origins = [one.said.origin for one in kept_in(tmp_path)]
    assert sorted(origins) == ["person", "person", "unsure", "unsure"]


def test_the_version_that_was_seen_is_named_as_the_answer_or_its_head_does(
    collecting: Callable[..., httpx.Client], dark_png: bytes
) -> None:
    client = collecting()
    seen = client.post("/predict/tiny", content=dark_png)
    for version in (seen.json()["version"], seen.headers["x-model-version"]):
        form = {"model": seen.json()["model"], "right": "true", "version": version}
        assert client.post("/feedback", files={"file": dark_png}, data=form).is_success


def test_the_model_may_be_named_as_its_answer_does(
    collecting: Callable[..., httpx.Client], dark_png: bytes, predictor: Predictor
) -> None:
    client = collecting(models={"shapes": predictor})
    answer = client.post("/predict/shapes", content=dark_png).json()
    # An answer has the name of the run.
    assert answer["model"] == predictor.bundle.name != "shapes"
    form = {"model": answer["model"], "right": "true"}
    for known in ({}, {"version": answer["version"]}):
        sent = client.post("/feedback", files={"file": dark_png}, data={**form, **known})
        assert sent.is_success, sent.text
    other = {**form, "version": "f" * 64}
    assert client.post("/feedback", files={"file": dark_png}, data=other).status_code == 404


def test_a_name_that_two_models_have_in_their_answers_is_unknown(
    collecting: Callable[..., httpx.Client], dark_png: bytes, predictor: Predictor
) -> None:
    client = collecting(models={"shapes": predictor, "forms": predictor})
    form = {"model": predictor.bundle.name, "right": "true"}
    assert client.post("/feedback", files={"file": dark_png}, data=form).status_code == 404


def test_a_full_folder_is_said(
    collecting: Callable[..., httpx.Client], dark_png: bytes, bright_jpeg: bytes
) -> None:
    client = collecting(collect_max_count=1)
    assert client.post("/feedback", files={"file": dark_png}, data={"right": "1"}).is_success
    refused = client.post("/feedback", files={"file": bright_jpeg}, data={"right": "1"})
    assert (refused.status_code, "limit on feedback" in refused.json()["error"]) == (507, True)
    assert 'said="full"} 1.0' in client.get("/metrics").text


def test_feedback_that_cannot_be_saved_is_in_the_log_once(
    collecting: Callable[..., httpx.Client],
    tmp_path: Path,
    dark_png: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = collecting()
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").touch()
    files, form = {"file": dark_png}, {"right": "1"}
    statuses = [client.post("/feedback", files=files, data=form).status_code for _ in range(2)]
    assert statuses == [503, 503]
    assert caplog.text.count("feedback cannot be saved: File exists") == 1
    (tmp_path / "kept").unlink()
    assert client.post("/feedback", files=files, data=form).status_code == 201


def test_a_key_needs_the_scope_and_only_its_id_is_kept(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes
) -> None:
    keys = tmp_path / "keys.json"
    text, key = KeyFile(keys).create("tester", scopes=("feedback",))
    other, _ = KeyFile(keys).create("asker", scopes=("predict",))
    client = collecting(keys=keys)

    def send(sent: str | None) -> int:
        headers = {} if sent is None else {"x-api-key": sent}
        answer = client.post(
            "/feedback", files={"file": dark_png}, data={"right": "1"}, headers=headers
        )
        return answer.status_code

    assert [send(None), send(other), send(text)] == [401, 403, 201]
    assert kept_in(tmp_path)[0].said.by == key.id
    log = (tmp_path / "kept" / "feedback.jsonl").read_text()
    assert text not in log
    assert "127.0.0.1" not in log
    described = client.get("/openapi.json").json()["paths"]["/feedback"]["post"]
    assert described["security"] == [{"bearer": []}, {"header": []}]


def test_unsure_pictures_are_kept_if_that_was_asked_for(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes, grey_png: bytes
) -> None:
    client = collecting(collect_unsure=True)
    for picture in (dark_png, grey_png, grey_png):
        assert client.post("/predict/tiny", content=picture).is_success
    instances = {"instances": [{"b64": base64.b64encode(grey_png).decode()}]}
    assert client.post("/v1/models/tiny:predict", json=instances).is_success
    # What is waiting is written before the answer to feedback that comes later.
    assert client.post("/feedback", files={"file": dark_png}, data={"right": "1"}).is_success
    unsure, said = kept_in(tmp_path)
    assert (unsure.said.origin, unsure.said.unsure, unsure.said.truth) == ("unsure", True, None)
    assert (tmp_path / "kept" / unsure.image).read_bytes() == grey_png
    assert said.said.origin == "person"


def test_unsure_pictures_are_not_kept_otherwise(
    collecting: Callable[..., httpx.Client], tmp_path: Path, grey_png: bytes
) -> None:
    client = collecting()
    assert client.post("/predict/tiny", content=grey_png).json()["unsure"]
    assert kept_in(tmp_path) == []


def test_a_folder_that_cannot_be_used_stops_the_start(tmp_path: Path, predictor: Predictor) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(UsageError, match="Cannot keep feedback in"):
        start_in_thread({"tiny": predictor}, port=0, collect=taken)
    with pytest.raises(UsageError, match="Cannot write to s3://bucket/kept"):
        ServerOptions(collect=Path("s3://bucket/kept"))
    with pytest.raises(UsageError, match="Keeping feedback needs a folder"):
        ServerOptions(collect_unsure=True)
    with pytest.raises(UsageError, match="Invalid rate"):
        ServerOptions(collect=tmp_path, collect_rate="many")


def test_workers_that_start_at_once_do_not_meet_in_the_folder(
    collecting: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def meanwhile_gone(path: Path, missing_ok: bool = False) -> None:
        # What another worker, which tries the same folder, has removed first.
        if path.parent == tmp_path / "kept":
            unlink(path, missing_ok=True)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", meanwhile_gone)
    assert collecting().get("/readyz").is_success


def test_the_folder_is_for_its_owner(
    collecting: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    collecting()
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


def test_the_log_is_json_lines(
    collecting: Callable[..., httpx.Client], tmp_path: Path, dark_png: bytes
) -> None:
    collecting().post("/feedback", files={"file": dark_png}, data={"label": "square"})
    (line,) = (tmp_path / "kept" / "feedback.jsonl").read_text().splitlines()
    assert json.loads(line)["truth"] == ["square"]
