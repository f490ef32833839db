"""foveal's own routes over real HTTP."""

from __future__ import annotations

import base64
import io

import httpx
import pytest
from PIL import Image as PILImage

from foveal.predict import Predictor


def test_a_raw_body_is_answered_as_the_contract_says(
    client: httpx.Client, predictor: Predictor, dark_png: bytes
) -> None:
    response = client.post("/predict/tiny", content=dark_png)

    assert response.status_code == 200
    answer = response.json()
    expected = predictor.predict([predictor.decode(dark_png)])[0].to_json()
    assert {key: answer[key] for key in expected} == expected
    assert answer.keys() - expected.keys() == {"model", "version", "source", "ms"}
    assert answer["label"] == "circle"
    assert answer["model"] == "tiny"
    assert answer["version"] == predictor.bundle.version
    assert answer["source"] == "upload"
    assert answer["ms"] > 0


def test_multipart_and_json_give_the_same_answer_as_the_raw_body(
    client: httpx.Client, bright_jpeg: bytes
) -> None:
    text = base64.b64encode(bright_jpeg).decode()
    responses = [
        client.post("/predict/tiny", content=bright_jpeg),
        client.post("/predict/tiny", files={"file": ("a.jpg", bright_jpeg, "image/jpeg")}),
        client.post("/predict/tiny", files={"image": bright_jpeg}, data={"note": "first"}),
        client.post("/predict/tiny", json={"image": text}),
        client.post("/predict/tiny", json={"b64": text}),
        client.post("/predict/tiny", json={"image": {"b64": text}}),
        client.post("/predict/tiny", json={"image": f"data:image/jpeg;base64,{text}"}),
    ]

    assert [r.status_code for r in responses] == [200] * len(responses)
    assert {str(r.json()["scores"]) for r in responses} == {str(responses[0].json()["scores"])}
    assert responses[0].json()["label"] == "square"


def test_a_wrong_content_type_does_not_matter_for_raw_bytes(
    client: httpx.Client, dark_png: bytes
) -> None:
    # curl --data-binary sends this type unless told otherwise.
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = client.post("/predict/tiny", content=dark_png, headers=headers)
    assert response.json()["label"] == "circle"


def test_a_picture_between_the_classes_is_unsure(client: httpx.Client, grey_png: bytes) -> None:
    assert client.post("/predict/tiny", content=grey_png).json()["unsure"] is True


def test_explain_adds_a_png_of_the_pictures_size(client: httpx.Client, dark_png: bytes) -> None:
    plain = client.post("/predict/tiny", content=dark_png).json()
    answer = client.post("/predict/tiny?explain=true", content=dark_png).json()

    assert answer["scores"] == plain["scores"]
    assert "explanation" not in plain
    png = base64.b64decode(answer["explanation"]["png_b64"])
    with PILImage.open(io.BytesIO(png)) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (40, 30))


def test_an_explanation_of_a_large_picture_is_bounded(client: httpx.Client) -> None:
    buffer = io.BytesIO()
    PILImage.new("RGB", (3000, 1500), (20, 20, 20)).save(buffer, "JPEG")
    answer = client.post("/predict/tiny?explain=1", content=buffer.getvalue()).json()
    png = base64.b64decode(answer["explanation"]["png_b64"])
    with PILImage.open(io.BytesIO(png)) as drawn:
        assert drawn.size == (1024, 512)


def test_expected_says_whether_the_category_fits(client: httpx.Client, dark_png: bytes) -> None:
    yes = client.post("/predict/tiny?expected=circle", content=dark_png).json()
    no = client.post("/predict/tiny?expected=square", content=dark_png).json()
    assert (yes["matches"], yes["expected"]) == (True, "circle")
    assert (no["matches"], no["label"]) == (False, "circle")


def test_an_unknown_class_names_the_nearest(client: httpx.Client, dark_png: bytes) -> None:
    response = client.post("/predict/tiny?expected=sqare", content=dark_png)
    assert response.status_code == 400
    assert "'square'" in response.json()["error"]


def test_an_unknown_model_names_the_nearest(client: httpx.Client, dark_png: bytes) -> None:
    response = client.post("/predict/tyni", content=dark_png)
    assert response.status_code == 404
    assert "Did you mean 'tiny'?" in response.json()["error"]


def test_models_describes_what_the_page_needs(client: httpx.Client) -> None:
    described = client.get("/models").json()
    (model,) = described["models"]
    assert model["name"] == "tiny"
    assert model["task"] == "classify"
    assert model["labels"] == ["circle", "square"]
    assert model["input"] == {"height": 16, "width": 16, "fit": "pad", "steps": []}
    assert model["unsure_below"] == 0.6
    assert (model["usable"], model["promise"]) == (True, "")
    assert model["metrics"]["accuracy"]["value"] == 1.0
    assert described["limits"]["max_body_bytes"] == 16 * 2**20


def test_health_and_readiness_are_given(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_requests_by_route_and_status(client: httpx.Client, dark_png: bytes) -> None:
    line = 'foveal_requests_total{route="predict",status="200"}'
    client.post("/predict/tiny", content=dark_png)
    before = _value(client.get("/metrics").text, line)
    client.post("/predict/tiny", content=dark_png)
    text = client.get("/metrics").text

    assert _value(text, line) == before + 1
    assert 'foveal_request_duration_seconds_bucket{le="+Inf",route="predict"}' in text
    assert _value(text, "foveal_ready") == 1
    assert _value(text, "foveal_queue_pictures") == 0
    assert _value(text, "foveal_queue_bytes") == 0


def _value(text: str, name: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.removeprefix(name))


def test_the_documentation_shows_commands_for_this_server(client: httpx.Client) -> None:
    response = client.get("/docs")
    assert response.status_code == 200
    assert f"{client.base_url}/predict/tiny".replace(":80/", "/") in response.text
    assert "$" not in response.text.replace("$(base64", "")


def test_the_page_loads_nothing_from_elsewhere_and_nothing_inline(client: httpx.Client) -> None:
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in response.text
    assert "https://" not in response.text
    assert "style=" not in response.text
    for name in (
        "app.js",
        "api.js",
        "card.js",
        "check.js",
        "reading.js",
        "words.js",
        "style.css",
        "mark.svg",
    ):
        assert client.get(f"/static/{name}").status_code == 200


def test_an_unchanged_file_is_not_sent_again(client: httpx.Client) -> None:
    tag = client.get("/static/app.js").headers["etag"]
    again = client.get("/static/app.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["docs.html", "..%2fapp.py", "../app.py", "%2e%2e/app.py", ""])
def test_nothing_but_the_pages_files_is_served(client: httpx.Client, name: str) -> None:
    response = client.get(f"/static/{name}")
    assert response.status_code == 404
    assert response.json() == {"error": "Not found. See /docs for the routes."}


def test_files_that_are_asked_for_are_counted_under_one_name(client: httpx.Client) -> None:
    client.get("/static/app.js")
    client.get("/static/no-such-file")
    text = client.get("/metrics").text
    assert _value(text, 'foveal_requests_total{route="static",status="200"}') >= 1
    assert "no-such-file" not in text


def test_a_request_id_is_echoed_or_made(client: httpx.Client) -> None:
    given = client.get("/healthz", headers={"x-request-id": "abc-1"})
    made = client.get("/healthz", headers={"x-request-id": "bad id\twith spaces"})
    assert given.headers["x-request-id"] == "abc-1"
    assert "bad" not in made.headers["x-request-id"]
    again = client.get("/healthz").headers["x-request-id"]
    assert again != made.headers["x-request-id"]


def test_the_models_say_what_runs_them(client: httpx.Client) -> None:
    (described,) = client.get("/models").json()["models"]
    engine = described["engine"]
    assert engine["name"] == engine["asked"] == "onnxruntime"
    assert engine["runtime"].startswith("onnxruntime")
    assert engine["threads"] == 1
