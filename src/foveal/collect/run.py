"""Run or continue a collection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import final

from foveal.collect.addresses import AddressError, host_of, normal
from foveal.collect.committer import Committer
from foveal.collect.fetch import Client, FetchError, Response
from foveal.collect.host import Host, Job
from foveal.collect.journal import Journal, Record
from foveal.collect.listing import Listing
from foveal.collect.pages import Entry, PageContents, read_page
from foveal.collect.pictures import look_at
from foveal.collect.provenance import write_provenance
from foveal.collect.recipe import CollectRecipe
from foveal.collect.report import INTERRUPTED, Collected, count_classes
from foveal.collect.requests import Requests
from foveal.collect.robots import Rules

# Of markup made to be slow, this much takes ten seconds.
PAGE_BYTES = 5_000_000
PAGE_TYPES = "text/html, application/xhtml+xml, */*;q=0.1"
_PICTURE_TYPES = "image/*, */*;q=0.1"
# The next page of a class is read when so few of its pictures are waiting.
_LOW = 50


@final
class Collector:
    """Works through a recipe.

    Args:
        recipe: What to collect.
        client: Sends the requests.
        journal: The folder and its log.
        update: Read listing pages again that were read in a call before.
    """

    def __init__(
        self, recipe: CollectRecipe, client: Client, journal: Journal, *, update: bool
    ) -> None:
        self.new = 0
        self.done = 0
        self._recipe = recipe
        self._limits = recipe.options.limits
        self._client = client
        self._journal = journal
        self._known = journal.known
        self._received_before = journal.known.received
        self._pages = {} if update else dict(self._known.pages)
        self._committer = Committer(journal)
        self._requests = Requests(client, recipe.options, self._known.robots, self._learnt)
        kept = self._known.kept()
        labels = dict.fromkeys((*recipe.classes, *(row.label for row in recipe.listed)))
        self.listings = {
            label: Listing(label, recipe.pictures, self._limits.pages, kept[label])
            for label in labels
        }
        self._queued: set[tuple[str, str]] = set()
        self._tasks = asyncio.TaskGroup()
        self._stopped: str | None = None

    @property
    def pages(self) -> int:
        """Return how many listing pages were read."""
        return sum(listing.read for listing in self.listings.values())

    async def run(self) -> Collected:
        """Collect until everything is there, a limit is reached, or the task is cancelled.

        Raises:
            OSError: If the disk refuses; what was collected is there.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.time), self._tasks:
                self._begin()
        except TimeoutError:
            self._stopped = "the time limit was reached (limits.time)"
        except asyncio.CancelledError:
            self._stopped = INTERRUPTED
        except BaseExceptionGroup as group:
            # One of them failed and ended the others.
            raise group.exceptions[0] from group
        finally:
            await self._committer.close()
        write_provenance(self._journal.folder, self._known, self._recipe.columns)
        pages = {label: listing.read for label, listing in self.listings.items()}
        return Collected(
            out=self._journal.folder,
            classes=count_classes(self._known, list(self.listings), pages),
            new=self.new,
            received=self._client.received,
            seconds=time.monotonic() - began,
            stopped=self._stopped,
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        for label, listing in self.listings.items():
            yield from (f"{label}: {note}" for note in listing.notes)

    def _begin(self) -> None:
        for label, starts in self._recipe.classes.items():
            for start in starts:
                self.listings[label].follow(start, "")
            self._turn_page(self.listings[label])
        for row in self._recipe.listed:
            try:
                entry = Entry(normal(row.address), row.fields)
            except AddressError as error:
                entry = Entry(row.address[:80], row.fields, str(error))
            self._take(self.listings[row.label], entry, "")

    def _put(self, job: Job) -> None:
        host = self._requests.hosts[host_of(job.address)]
        host.jobs.append(job)
        if host.workers < self._recipe.options.connections:
            host.workers += 1
            self._tasks.create_task(self._work(host))

    async def _work(self, host: Host) -> None:
        while host.jobs and self._stopped is None:
            job = host.jobs.popleft()
            listing = self.listings[job.label]
            if job.kind == "page":
                await self._read(job, listing)
            else:
                await self._fetch(job, listing)
                listing.pending -= 1
                self.done += 1
            self._turn_page(listing)
            if self._received_before + self._client.received >= self._limits.bytes:
                self._stopped = "the limit on bytes was reached (limits.bytes)"
        host.workers -= 1

    def _turn_page(self, listing: Listing) -> None:
        """Read the next page of a class if few of its pictures are waiting."""
        if listing.pending <= _LOW and (following := listing.next_page()) is not None:
            self._put(Job("page", following[0], listing.label, following[1]))

    async def _read(self, job: Job, listing: Listing) -> None:
        """Read a listing page, or remember what it listed."""
        contents = self._pages.get((job.label, job.address))
        if contents is None:
            try:
                contents = await self._read_page(job)
            except FetchError as error:
                listing.notes[f"the page {job.address} was not read: {error.reason}"] += 1
                return
        listing.read += 1
        if listing.is_repeated(job.address, contents):
            return
        if not contents.entries:
            listing.notes[f"the page {job.address} lists no picture (item, picture)"] += 1
        for entry in contents.entries:
            self._take(listing, entry, job.address)
        if contents.next is not None:
            listing.follow(contents.next, job.address)

    async def _read_page(self, job: Job) -> PageContents:
        answer = await self._requests.fetch(job.address, accept=PAGE_TYPES, most_bytes=PAGE_BYTES)
        contents = await asyncio.to_thread(
            read_page,
            answer.body,
            answer.headers.get("content-type"),
            answer.address,
            self._recipe.options,
        )
        record = self._record("page", job, answer)
        await self._commit({**record, **contents.to_json()})
        return contents

    def _take(self, listing: Listing, entry: Entry, page: str) -> None:
        """Queue a picture, unless it is there, or its address cannot be fetched."""
        key = (listing.label, entry.picture)
        if key in self._queued or self._known.is_done(*key):
            return
        self._queued.add(key)
        job = Job("picture", entry.picture, listing.label, page, dict(entry.fields))
        other = self._known.classes.setdefault(entry.picture, listing.label)
        if other != listing.label:
            self._leave(job, f"also listed under {other}", listed_under=other)
        elif entry.problem is not None:
            self._leave(job, entry.problem)
        else:
            listing.pending += 1
            self._put(job)

    def _leave(self, job: Job, reason: str, **more: str) -> None:
        record = {**self._record("picture", job), "outcome": "left", "reason": reason, **more}
        self._tasks.create_task(self._commit(record))

    async def _fetch(self, job: Job, listing: Listing) -> None:
        """Fetch a picture, and keep it if it is one that is not there yet."""
        if listing.is_full():
            listing.over()
            return
        try:
            answer = await self._requests.fetch(
                job.address, accept=_PICTURE_TYPES, most_bytes=self._limits.picture_bytes
            )
        except FetchError as error:
            record = self._record("picture", job)
            left = {"outcome": "left", "reason": error.reason, "status": error.status}
            await self._commit({**record, **left, "again": error.passes})
            return
        looked = await asyncio.to_thread(look_at, answer.body)
        record = {**self._record("picture", job, answer), "sha256": looked.sha256}
        copied = self._known.files.get(looked.sha256)
        if looked.problem is not None:
            left = {"outcome": "left", "reason": looked.problem, "again": looked.passes}
            await self._commit({**record, **left})
        elif copied is not None:
            await self._commit({**record, "outcome": "copy", "file": copied})
        elif listing.is_full():
            listing.over()
        else:
            # Before anything else can run: the next copy of it is one.
            name = self._known.files[looked.sha256] = f"{job.label}/{looked.name}"
            listing.kept += 1
            await self._commit({**record, "outcome": "kept", "file": name}, answer.body)
            self.new += 1

    async def _learnt(self, origin: str, rules: Rules) -> None:
        if rules.problem is None:
            record = {"kind": "robots", "address": origin, "time": _now(), "text": rules.text}
            await self._commit(record)

    async def _commit(self, record: Record, body: bytes | None = None) -> None:
        await self._committer.add(record, body)
        self._known.take(record)

    def _record(self, kind: str, job: Job, answer: Response | None = None) -> Record:
        record: Record = {
            "kind": kind,
            "class": job.label,
            "address": job.address,
            "page": job.page,
            "time": _now(),
            "fields": job.fields,
        }
        if answer is not None:
            record |= {
                "status": answer.status,
                "bytes": len(answer.body),
                "content_type": answer.content_type,
                "received": len(answer.body),
                "redirected_to": answer.address if answer.address != job.address else None,
            }
        return record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
