"""A review that is served by a thread of this process."""

from __future__ import annotations

from types import TracebackType
from typing import Self, final

from foveal.curation.decisions import Decision
from foveal.curation.review import Review
from foveal.notebook.framed import framed_html
from foveal.server.options import ServerOptions
from foveal.server.review.app import create_review_app
from foveal.server.review.state import ReviewState
from foveal.server.run import run_until_asked, start_app


@final
class ReviewSession:
    """A review in the browser, until it is closed or the process ends; a notebook shows the page.

    It is a context manager that closes it.

    Args:
        state: The review, its pictures, and who may ask.

    Raises:
        UsageError: If the address cannot be listened on.
    """

    def __init__(self, state: ReviewState) -> None:
        """Start the server."""
        self._state = state
        self._handle = start_app(create_review_app(state), state.options)

    @property
    def url(self) -> str:
        """URL of the page."""
        return self._handle.url

    @property
    def review(self) -> Review:
        """The underlying review."""
        return self._state.review

    @property
    def decisions(self) -> dict[str, Decision]:
        """Sample → current decision; read from the log on each access."""
        return self.review.decisions()

    @property
    def is_open(self) -> bool:
        """Whether the server is running."""
        return self._handle.is_running

    def wait(self) -> None:
        """Serve until SIGTERM or Ctrl-C, then close. Must be called from the main thread."""
        run_until_asked(lambda: self._handle, self._options, None)

    def close(self) -> None:
        """Stop the server; all decisions are in the log. Idempotent."""
        self._handle.stop()

    @property
    def _options(self) -> ServerOptions:
        return self._state.options

    def __repr__(self) -> str:
        """Return a summary in one line."""
        where = f"at {self.url}" if self.is_open else "closed"
        return f"Review({self.review.report.location}, {where}, {len(self.decisions)} decided)"

    def _repr_html_(self) -> str | None:
        if not self.is_open:
            return None
        return framed_html(self.url, title=f"Review of {self.review.report.location}")

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
