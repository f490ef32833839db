"""The shared state of the routes of a review."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field
from typing import final

from foveal.curation.review import Review
from foveal.data.source import Sample
from foveal.machine import available_cores
from foveal.server.access.auth import Access
from foveal.server.options import ServerOptions
from foveal.server.request.limits import Budget
from foveal.server.review.pictures import Pictures
from foveal.server.telemetry.counters import Telemetry
from foveal.types import JsonObject

# What a page forgets of its own rather than being told each change.
_MOST_CHANGES = 1000


@final
@dataclass
class ReviewState:
    """A served review and its pictures.

    Attributes:
        review: The suspects and decisions.
        pictures: What is shown of them.
        options: Who may ask.
        model: Name of the model whose evidence is shown; None without one.
        framed_by: Pages that may show this one in a frame; None for none.
        telemetry: Counts requests.
        draining: Whether the server is going down.
        access: Asks for no keys.
        access_log: None: nothing is written.
        room: Held while a picture is decoded: no more at once than there are cores.
        budget: Bounds the bodies in memory.
    """

    review: Review
    pictures: Pictures
    options: ServerOptions
    model: str | None = None
    framed_by: str | None = None
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(dict))
    draining: bool = False
    access: Access = field(init=False)
    access_log: None = None
    room: asyncio.Semaphore = field(init=False)
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        """Let in whoever the options let in."""
        options = self.options
        self.access = Access(options)
        self.room = asyncio.Semaphore(available_cores())
        self.budget = Budget(options.queue_items, options.queue_bytes, options.max_body_bytes)

    def described(self) -> JsonObject:
        """Return what does not change during a session."""
        review = self.review
        return {
            "schema_version": 1,
            "data": review.report.location,
            "layout": review.report.layout,
            "log": str(review.path),
            "command": f"foveal clean {shlex.quote(review.report.location)}",
            "target": review.target,
            "labels": list(review.labels),
            "takes_several": review.takes_several,
            "model": self.model,
            "queues": [
                {
                    "id": queue.finding.id,
                    "title": queue.title,
                    "severity": queue.finding.severity,
                    "message": queue.finding.message,
                    "method": queue.finding.method,
                    "hint": queue.finding.hint,
                    "found": queue.finding.count,
                    "count": len(queue.suspects),
                }
                for queue in review.queues
            ],
            **self.changed(None),
        }

    def changed(self, since: int | None) -> JsonObject:
        """Return the counts of the decisions, and which changed since a version.

        Args:
            since: A version of this session; None asks for no single changes.
        """
        review = self.review
        samples = () if since is None else review.changed_since(since)
        shown = samples[:_MOST_CHANGES] if len(samples) <= _MOST_CHANGES else None
        return {
            "session": review.session,
            "version": review.version,
            "counts": [review.counts(number) for number in range(len(review.queues))],
            "changed": None
            if shown is None
            else [
                {"number": number, "decision": self.decision(sample)}
                for sample in shown
                if (number := review.number(sample)) is not None
            ],
        }

    def decision(self, sample: str) -> JsonObject | None:
        """Return what was decided about a sample."""
        decision = self.review.decision(sample)
        return None if decision is None else {"action": decision.action, "label": decision.label}

    def about(self, number: int) -> JsonObject:
        """Return what is known of a sample without reading its picture."""
        sample: Sample = self.review.source.samples[number]
        return {
            "number": number,
            "sample": sample.id,
            "label": self.review.label_of(sample),
            "split": sample.split,
            "decision": self.decision(sample.id),
        }
