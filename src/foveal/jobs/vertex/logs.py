"""The log of a job, from Cloud Logging.

https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from foveal.jobs.vertex.client import Vertex

_PAGE = 1000


@final
class Entries:
    """The log lines of a job, in order, each once.

    Args:
        vertex: The project that it is in.
        job: Its number.
        since: When it was sent, before which nothing is looked for.
    """

    def __init__(self, vertex: Vertex, job: str, since: str) -> None:
        self._vertex = vertex
        self._job = job
        self._since = since
        # Those of the last instant may come once more.
        self._seen: set[str] = set()

    def new(self) -> Iterator[str]:
        """Yield the lines that were not yielded yet."""
        body: dict[str, Any] = {
            "resourceNames": [f"projects/{self._vertex.target.project}"],
            "filter": f'resource.type="ml_job" AND resource.labels.job_id="{self._job}" '
            f'AND timestamp>="{self._since}"',
            "orderBy": "timestamp asc",
            "pageSize": _PAGE,
        }
        while True:
            page = self._vertex.logging.post("/entries:list", body, repeatable=True)
            for entry in page.get("entries", ()):
                if entry["insertId"] in self._seen:
                    continue
                if entry["timestamp"] > self._since:
                    self._since = entry["timestamp"]
                self._seen.add(entry["insertId"])
                yield from _text(entry).splitlines()
            if not page.get("nextPageToken"):
                return
            body["pageToken"] = page["nextPageToken"]


def _text(entry: Any) -> str:
    payload = entry.get("jsonPayload", {})
    return str(entry.get("textPayload") or payload.get("message") or "")
