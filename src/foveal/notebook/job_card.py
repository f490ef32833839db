"""Job cards: target, state, end of the log, and results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import final

from foveal.bundle import Bundle
from foveal.bundle.bundle import MANIFEST_NAME
from foveal.errors import FovealError
from foveal.jobs.job import JobState
from foveal.notebook.cards import model_html
from foveal.render.markup import table_html

_MOST_FILES = 12
# In reverse, so that where the log is longer than this, its end is seen.
_LOG = (
    "margin:8px 0;padding:8px 12px;border:1px solid #8884;border-radius:8px;max-height:22em;"
    "overflow:auto;display:flex;flex-direction:column-reverse"
)
_PRE = "margin:0;white-space:pre-wrap;overflow-wrap:anywhere"
# Seen on light and on dark pages.
_COLOURS = {
    None: "#888",
    JobState.QUEUED: "#888",
    JobState.RUNNING: "#3f76e8",
    JobState.SUCCEEDED: "#159a6c",
    JobState.FAILED: "#dc4632",
    JobState.STOPPED: "#c77a12",
}


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a job at one time; renders as HTML and as text.

    Attributes:
        name: Name of the job.
        target: Target of the job.
        state: State of the job; None if it could not be queried.
        tail: Last lines of the log.
        outputs: Local path of the results.
        trouble: Error of querying the job or fetching its results.
    """

    name: str
    target: str
    state: JobState | None
    tail: tuple[str, ...] = ()
    outputs: Path | None = None
    trouble: str = ""

    def __repr__(self) -> str:
        """Return the state and the end of the log."""
        lines = [f"{self.name} on {self.target}: {self.state or 'unknown'}", *self.tail]
        lines += [f"results: {self.outputs}"] if self.outputs else []
        return "\n".join(lines + ([self.trouble] if self.trouble else []))

    def _repr_html_(self) -> str:
        dot = f'<span style="color:{_COLOURS[self.state]}">●</span>'
        head = (
            f"<div>{dot} <strong>{escape(self.name)}</strong> on {escape(self.target)}: "
            f"<strong>{escape(self.state or 'unknown')}</strong></div>"
        )
        lines = escape("\n".join(self.tail))
        log = f'<div style="{_LOG}"><pre style="{_PRE}">{lines}</pre></div>' if lines else ""
        trouble = f"<p>{escape(self.trouble)}</p>" if self.trouble else ""
        return head + log + trouble + (outputs_html(self.outputs) if self.outputs else "")


def outputs_html(outputs: Path) -> str:
    """Return the card of the model in a folder, or else the list of its files."""
    run = run_in(outputs)
    if run is not None:
        try:
            card = model_html(Bundle.open(run / "bundle"))
        except FovealError as error:
            card = f"<p>{escape(error.message)}</p>"
        return f"{card}<p><code>foveal.load({escape(repr(str(run)))})</code></p>"
    files = sorted(path for path in outputs.rglob("*") if path.is_file())
    rows = [
        (path.relative_to(outputs).as_posix(), f"{path.stat().st_size:,} bytes")
        for path in files[:_MOST_FILES]
    ]
    more = f" and {len(files) - _MOST_FILES} more" if len(files) > _MOST_FILES else ""
    return (
        table_html(("file", "size"), rows) + f"<p>in <code>{escape(str(outputs))}</code>{more}</p>"
    )


def run_in(outputs: Path) -> Path | None:
    """Return the most recently written run in a folder that has a bundle."""
    manifests = outputs.rglob(f"bundle/{MANIFEST_NAME}")
    latest: Sequence[Path] = sorted(manifests, key=lambda path: path.stat().st_mtime_ns)
    return latest[-1].parents[1] if latest else None
