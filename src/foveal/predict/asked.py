"""Query models served elsewhere: by foveal, TensorFlow Serving or Vertex AI.

All three accept `{"instances": [{"b64": …}]}` and return one prediction for each. Models served by
foveal return records; predictions of other models may be any JSON, and are shown unchanged.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from foveal.data.decode import DEFAULT_LIMITS
from foveal.errors import FovealError, UsageError, reason
from foveal.jobs.vertex.client import google_headers
from foveal.predict.inputs import Given, file_bytes
from foveal.rest import Service, ServiceError, is_loopback
from foveal.types import JsonObject, Picture

KEY_VARIABLE = "FOVEAL_KEY"
# Vertex AI takes requests of 1.5 MB; base64 makes 4 bytes of 3.
_BYTES_TOGETHER = 1_000_000
_GOOGLE = "aiplatform.googleapis.com"
_ADDRESS = 'the address must accept {"instances": […]}: https://HOST/v1/models/NAME'
_KEYS = f"export {KEY_VARIABLE}=…, or use --key-file FILE"
_KEY = re.compile(r"[!-~]+")
_NOT_THERE = (404, 405)
_NO_KEY = 401
_MODEL = re.compile(r"/v[0-9]+/models/[^/:]+(/versions/[0-9]+|/labels/[^/:]+)?/?")


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """The answer of an endpoint to one picture.

    Attributes:
        source: The picture.
        record: The answer, as `foveal predict --json` prints it.
        error: Why there is no answer, or None.
    """

    source: str
    record: JsonObject
    error: FovealError | None = None

    @property
    def text(self) -> str:
        """The answer as text, if it comes from foveal."""
        record = self.record
        for name in ("label", "text"):
            if isinstance(record.get(name), str):
                return str(record[name])
        if isinstance(record.get("labels"), list):
            return "|".join(map(str, record["labels"]))
        if isinstance(record.get("classes"), list):
            return ", ".join(
                str(c.get("name", c)) if isinstance(c, dict) else str(c) for c in record["classes"]
            )
        own = {key: value for key, value in record.items() if key != "source"}
        return json.dumps(own.get("prediction", own), ensure_ascii=False)

    @property
    def confidence(self) -> float | None:
        """Confidence in [0, 1], or None."""
        value = self.record.get("confidence")
        return float(value) if isinstance(value, int | float) else None

    @property
    def doubt(self) -> str:
        """`unsure`, `unsure (unfamiliar)`, or ""."""
        if not self.record.get("unsure"):
            return ""
        return "unsure (unfamiliar)" if "unfamiliar" in self.record.get("reasons", ()) else "unsure"

    @property
    def scores(self) -> Mapping[str, float]:
        """Label → probability; may be empty."""
        scores = self.record.get("scores")
        return scores if isinstance(scores, dict) else {}


@final
class Endpoint:
    """A model that is served elsewhere.

    Args:
        url: URL of TensorFlow Serving, `https://HOST/v1/models/NAME` with or without `:predict`; of
            a Vertex AI endpoint; or any other that accepts `instances`.
        key: Sent as `Authorization: Bearer`; None sends that of `FOVEAL_KEY` if there is one.
            Vertex AI gets Google's application default credentials.

    Raises:
        UsageError: If the URL or the key is invalid, or a key would be sent unencrypted.
    """

    def __init__(self, url: str, *, key: str | None = None) -> None:
        parts = urlsplit(url)
        path = parts.path
        if _MODEL.fullmatch(path):
            path = f"{path.rstrip('/')}:predict"
        if parts.username or parts.password or parts.fragment:
            raise UsageError(
                "Invalid address. Expected a URL without a password and without a fragment.",
                hint=f"export {KEY_VARIABLE}=…",
            )
        key = key or os.environ.get(KEY_VARIABLE, "").strip()
        if key and not _KEY.fullmatch(key):
            # Not shown: it may be a key with something around it, or the file of a server's keys.
            raise UsageError(
                "The key is not one word of printable ASCII characters.",
                hint="give the key that `foveal keys create NAME` printed, alone",
            )
        host = parts.hostname or ""
        is_google = parts.scheme == "https" and host.endswith(_GOOGLE)
        self._is_google = is_google
        if key and parts.scheme != "https" and not is_loopback(url):
            raise UsageError(f"The key would be sent to {host} unencrypted.", hint="use https://")
        own = {"Authorization": f"Bearer {key}"} if key else {}
        self._path = path + (f"?{parts.query}" if parts.query else "")
        self._service = Service(
            f"{parts.scheme}://{parts.netloc}",
            f"The server at {host}",
            google_headers() if is_google and not key else lambda: own,
        )

    def answer(self, pictures: Iterable[Given], *, together: int = 32) -> Iterator[Asked]:
        """Yield an answer for each picture, in order.

        Args:
            pictures: Files; the answer to an unreadable one has an error.
            together: Largest number of pictures in one request; large ones are sent alone.
        """
        batch: list[tuple[str, Any]] = []
        size = 0
        for given in pictures:
            try:
                instance, cost = _instance(given)
            except FovealError as error:
                yield from self._answers(batch)
                yield _failed(given.source, error)
                batch, size = [], 0
                continue
            if batch and (len(batch) == together or size + cost > _BYTES_TOGETHER):
                yield from self._answers(batch)
                batch, size = [], 0
            batch.append((given.source, instance))
            size += cost
        yield from self._answers(batch)

    def answer_instances(self, instances: Sequence[Any]) -> Iterator[Asked]:
        """Yield an answer for each instance, sent unchanged in one request."""
        named = [(f"instance {number}", each) for number, each in enumerate(instances)]
        for (source, _), value in zip(named, self._predictions(list(instances)), strict=True):
            yield _record(source, value)

    def _answers(self, batch: list[tuple[str, Any]]) -> Iterator[Asked]:
        if not batch:
            return
        try:
            values = self._predictions([instance for _, instance in batch])
        except ServiceError as error:
            if not 400 <= error.status < 500 or error.status in (401, 403, 429, *_NOT_THERE):
                raise
            if len(batch) == 1:
                yield _failed(batch[0][0], error)
                return
            # One of them is at fault: the others are answered.
            for each in batch:
                yield from self._answers([each])
            return
        for (source, _), value in zip(batch, values, strict=True):
            yield _record(source, value)

    def _predictions(self, instances: list[Any]) -> list[Any]:
        try:
            answer = self._service.post(self._path, {"instances": instances}, repeatable=True)
        except ServiceError as error:
            if error.status in _NOT_THERE:
                raise ServiceError(error.message, status=error.status, hint=_ADDRESS) from error
            if error.status == _NO_KEY and not self._is_google:
                raise ServiceError(error.message, status=error.status, hint=_KEYS) from error
            raise
        values = answer.get("predictions") if isinstance(answer, dict) else None
        if not isinstance(values, list) or len(values) != len(instances):
            raise ServiceError(
                f"{self._service.name} did not return a prediction for each of the "
                f"{len(instances)} instances.",
                hint=_ADDRESS,
            )
        return values


def read_instances(path: Path) -> list[Any]:
    """Return the instances of a request in a file: `{"instances": […]}`, or one JSON on each line.

    Raises:
        UsageError: If the file has another format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the instances {path}: {reason(error)}.") from error
    try:
        value = json.loads(text)
        found = (
            value.get("instances") if isinstance(value, dict) and "instances" in value else value
        )
        if isinstance(found, dict):
            found = [found]
    except ValueError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, list) or not found:
        raise UsageError(
            f"{path} contains no instances. Expected a JSON object with 'instances'.",
            hint='for example {"instances": [{"b64": "…"}]}',
        )
    return found


def _instance(given: Given) -> tuple[Any, int]:
    if isinstance(given.content, Picture):
        raise UsageError(
            "A picture in memory cannot be sent to a server.", hint="give the path of its file"
        )
    text = base64.b64encode(file_bytes(given.content, DEFAULT_LIMITS)).decode()
    return {"b64": text}, len(text)


def _record(source: str, value: Any) -> Asked:
    if not isinstance(value, dict):
        return Asked(source, {"prediction": value, "source": source})
    if isinstance(value.get("error"), dict):
        about = value["error"]
        code = str(about.get("code", FovealError.code))
        return _failed(source, FovealError(str(about.get("message", about)), code=code))
    return Asked(source, {**value, "source": source})


def _failed(source: str, error: FovealError) -> Asked:
    return Asked(source, {"source": source, "error": error.to_json()}, error)
