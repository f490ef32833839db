"""The routes of `foveal review`, over pictures that are drawn and reports made by hand."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from doubted import DrawnSource, doubted, reviewed
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.data.source import Sample
from foveal.errors import ImageError
from foveal.model import Model
from foveal.notebook.framed import FRAMED_BY
from foveal.server.review.session import ReviewSession
from foveal.types import Mask


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ReviewSession]:
    with reviewed(*doubted(12, broken=3), tmp_path / "review.jsonl") as session:
        yield session


@pytest.fixture
def client(session: ReviewSession) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=session.url) as client:
        yield client


def decide(client: httpx.Client, action: Any, ranges: Any, **body: Any) -> httpx.Response:
    token = client.get("/state").json()["session"]
    sent = {"session": token, "queue": 0, "ranges": ranges, "action": action, "version": 0}
    return client.post("/decide", json=sent | body)


def pixels(response: httpx.Response) -> np.ndarray[Any, Any]:
    assert response.status_code == 200
    return np.asarray(PILImage.open(io.BytesIO(response.content)).convert("RGB"))


def test_the_state_lists_what_can_be_reviewed(client: httpx.Client) -> None:
    state = client.get("/state").json()
    assert [(q["title"], q["count"]) for q in state["queues"]] == [
        ("Labels in doubt", 12),
        ("Outliers", 4),
    ]
    assert state["labels"] == ["cat", "dog", "horse"]
    assert state["command"] == "foveal clean photos"
    assert (state["version"], state["counts"]) == (0, [{}, {}])


def test_suspects_come_by_pages_with_what_is_beside_them(client: httpx.Client) -> None:
    page = client.get("/queues/0", params={"start": 10, "count": 5}).json()
    assert [one["sample"] for one in page["suspects"]] == ["dog/00010.png", "horse/00011.png"]
    first = page["suspects"][0]
    assert (first["label"], first["suggestion"], first["decision"]) == ("dog", "horse", None)
    assert [other["sample"] for other in first["like"]] == ["horse/00011.png", "cat/00000.png"]
    many = client.get("/queues/0", params={"count": 10**9}).json()
    assert len(many["suspects"]) == 12
    assert client.get("/queues/7").status_code == 404
    assert client.get("/queues/0", params={"start": "-1"}).status_code == 400


def test_a_decision_is_on_the_disk_before_it_is_answered(
    client: httpx.Client, session: ReviewSession
) -> None:
    answer = decide(client, "relabel", [[0, 2], [5, 6]]).json()
    assert (answer["acted"], answer["passed_over"], answer["version"]) == (3, 0, 3)
    assert answer["counts"] == [{"relabel": 3}, {"relabel": 1}]
    assert answer["changed"][0] == {"number": 0, "decision": {"action": "relabel", "label": "dog"}}
    lines = [json.loads(line) for line in session.review.path.read_text().splitlines()]
    assert [line["sample"] for line in lines] == [
        "cat/00000.png",
        "dog/00001.png",
        "horse/00005.png",
    ]
    assert session.decisions["horse/00005.png"].label == "cat"


def test_another_tab_hears_of_what_changed(client: httpx.Client) -> None:
    token = client.get("/state").json()["session"]
    decide(client, "keep", [[1, 2]])
    heard = client.get("/state", params={"since": 0, "session": token}).json()
    assert heard["changed"] == [{"number": 1, "decision": {"action": "keep", "label": None}}]
    assert "queues" not in heard
    undone = client.post("/undo", json={"session": token, "version": heard["version"]}).json()
    assert (undone["acted"], undone["counts"]) == (1, [{}, {}])
    assert undone["changed"] == [{"number": 1, "decision": None}]
    # Of another session everything is told anew.
    assert "queues" in client.get("/state", params={"since": 0, "session": "old"}).json()


def test_undo_takes_back_nothing_of_others(client: httpx.Client, session: ReviewSession) -> None:
    decide(client, "keep", [[0, 1]], by="anna")
    decide(client, "keep", [[1, 2]], by="bert")
    body = {"session": client.get("/state").json()["session"], "by": "anna"}
    assert [client.post("/undo", json=body).json()["acted"] for _ in range(2)] == [1, 0]
    assert list(session.decisions) == ["dog/00001.png"]


def test_the_next_undecided_is_found_going_round(client: httpx.Client) -> None:
    decide(client, "skip", [[3, 12]])
    assert client.get("/queues/0/next", params={"from": 5}).json() == {"next": 0}
    decide(client, "keep", [[0, 3]])
    assert client.get("/queues/0/next", params={"from": 0}).json() == {"next": None}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"session": "other"}, 409),
        ({"action": "burn"}, 400),
        ({"action": "undo"}, 400),
        ({"action": ["keep"]}, 400),
        ({"label": "cat"}, 400),
        ({"action": "relabel", "label": 7}, 400),
        ({"action": "relabel", "label": "../up"}, 422),
        ({"by": ["anna"]}, 400),
        ({"by": "a" * 65}, 400),
        ({"queue": 9}, 400),
        ({"queue": True}, 400),
        ({"ranges": [[0, 13]]}, 400),
        ({"ranges": [[2, 2]]}, 400),
        ({"ranges": [[0, 9], [0, 9]]}, 400),
        ({"ranges": [[0, 1.5]]}, 400),
        ({"ranges": "all"}, 400),
    ],
)
def test_what_is_no_decision_is_refused_and_writes_nothing(
    client: httpx.Client, session: ReviewSession, change: dict[str, Any], status: int
) -> None:
    asked = {"action": "keep", "ranges": [[0, 1]], **change}
    assert decide(client, **asked).status_code == status
    assert not session.review.path.exists()


def test_a_foreign_page_cannot_decide(client: httpx.Client, session: ReviewSession) -> None:
    token = client.get("/state").json()["session"]
    body = {"session": token, "queue": 0, "ranges": [[0, 1]], "action": "keep"}
    foreign = {"origin": "http://elsewhere.example"}
    assert client.post("/decide", json=body, headers=foreign).status_code == 403
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 403
    assert not session.review.path.exists()


def test_a_thumbnail_is_made_once_and_asked_for_again_in_vain(client: httpx.Client) -> None:
    first = client.get("/pictures/0/thumbnail")
    assert pixels(first).shape == (96, 128, 3)
    again = client.get("/pictures/0/thumbnail", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/pictures/0/large").headers["etag"] != first.headers["etag"]


def test_a_picture_that_cannot_be_decoded_is_told(client: httpx.Client) -> None:
    for address in ("/pictures/3/thumbnail", "/pictures/3/large", "/pictures/3"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()) == (
            422,
            {"error": "The PNG picture is damaged."},
        )
    assert client.get("/pictures/2").json() == {"width": 128, "height": 96}


@pytest.mark.parametrize(
    "address", ["/pictures/99/large", "/pictures/99", "/pictures/0/other", "/pictures/0/evidence"]
)
def test_what_is_not_there_is_404(client: httpx.Client, address: str) -> None:
    assert client.get(address).status_code == 404


def test_the_page_allows_nothing_inline_and_only_notebooks_frame_it(
    client: httpx.Client, tmp_path: Path
) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    with reviewed(*doubted(), tmp_path / "log", framed_by=FRAMED_BY) as session:
        framed = httpx.get(session.url).headers.get_list("content-security-policy")
    assert framed == [policy.replace("frame-ancestors 'none'", f"frame-ancestors {FRAMED_BY}")]


@dataclass(frozen=True)
class MarkedSource(DrawnSource):
    """Marks the left half of each picture."""

    @property
    def classes(self) -> tuple[str, ...]:
        return ("background", "thing")

    def mask(self, sample: Sample) -> Mask:
        if sample.id == "dog/00001.png":
            raise ImageError("It has no mask.")
        mask = np.zeros((96, 128), np.uint8)
        mask[:, :64] = 1
        return mask


def test_the_outline_of_a_mask_is_drawn_on_its_picture(tmp_path: Path) -> None:
    source, report = doubted(3, target="mask")
    marked = MarkedSource(source.location, source.layout, source.samples, ())
    with (
        reviewed(marked, report, tmp_path / "review.jsonl") as session,
        httpx.Client(base_url=session.url) as client,
    ):
        plain = pixels(client.get("/pictures/0/large")).astype(int)
        drawn = pixels(client.get("/pictures/0/large", params={"outlined": "true"})).astype(int)
        changed = np.flatnonzero(np.any(plain != drawn, axis=(0, 2)))
        assert changed.tolist() == [63, 64]
        # The colour of the class on its own side, white on the other.
        assert drawn[0, 63].tolist() == [0, 158, 115]
        assert drawn[0, 64].tolist() == [255, 255, 255]
        failed = client.get("/pictures/1/large", params={"outlined": "true"})
        assert (failed.status_code, failed.json()) == (422, {"error": "It has no mask."})
        assert decide(client, "relabel", [[0, 1]]).status_code == 422


def test_a_model_says_what_it_sees_and_where(tmp_path: Path, tiny_bundle: Bundle) -> None:
    predictor = Model(tiny_bundle.path).predictor
    with (
        reviewed(*doubted(4), tmp_path / "log", predictor=predictor, model="tiny") as session,
        httpx.Client(base_url=session.url) as client,
    ):
        assert (
            "circle" in client.get("/pictures/0").json()["answer"]
            or "square" in (client.get("/pictures/0").json()["answer"])
        )
        circle, square, answer = (
            pixels(client.get("/pictures/0/evidence", params=params))
            for params in ({"label": "circle"}, {"label": "square"}, {})
        )
        assert not np.array_equal(circle, square)
        assert any(np.array_equal(answer, other) for other in (circle, square))
        # A class that the model was not trained on: its own answer is explained.
        other = pixels(client.get("/pictures/0/evidence", params={"label": "cat"}))
        assert np.array_equal(other, answer)


def test_a_full_disk_and_a_damaged_log_are_told(
    client: httpx.Client, session: ReviewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("foveal.curation.lines.hold", refuse)
    answer = decide(client, "keep", [[0, 1]])
    assert answer.status_code == 507
    assert answer.json() == {"error": "The decision was not written: No space left on device."}
    session.review.path.write_text("nonsense\n")
    assert "line 1, is not a decision" in client.get("/state").json()["error"]


def test_thousands_of_changes_are_not_told_one_by_one(tmp_path: Path) -> None:
    with (
        reviewed(*doubted(3000), tmp_path / "log") as session,
        httpx.Client(base_url=session.url) as client,
    ):
        answer = decide(client, "quarantine", [[0, 3000]]).json()
        assert (answer["acted"], answer["changed"]) == (3000, None)
        assert answer["counts"] == [{"quarantine": 3000}, {"quarantine": 1000}]
