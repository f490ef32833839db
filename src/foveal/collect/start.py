"""Start a collection from code that may itself run in an event loop, as notebooks do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from foveal.atomic import sync
from foveal.collect.fetch import Client, FetchError
from foveal.collect.journal import Journal
from foveal.collect.pages import read_page
from foveal.collect.recipe import CollectRecipe
from foveal.collect.report import INTERRUPTED, Collected, CollectingInterrupted, FirstPage
from foveal.collect.requests import Requests
from foveal.collect.robots import Rules
from foveal.collect.run import PAGE_BYTES, PAGE_TYPES, Collector
from foveal.console import Progress
from foveal.destination import check_folder, writing

ResultT = TypeVar("ResultT")

_LOOK_EVERY_S = 0.2


def collect_pictures(
    recipe: CollectRecipe, out: Path, *, update: bool, allow_private: bool, progress: Progress
) -> Collected:
    """Collect into a folder, or go on with what is there.

    Args:
        recipe: What to collect.
        out: The folder.
        update: Read listing pages again that were read in a call before.
        allow_private: Connect to addresses of private networks too.
        progress: Receives the progress, in this thread.

    Raises:
        UsageError: If the folder cannot be written to, or another process collects into it.
        DataError: If its log is damaged.
        CollectingInterrupted: After Ctrl-C; everything fetched until then is kept.
    """
    check_folder(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        sync(out.parent)
    at_work: list[Collector] = []

    async def work() -> Collected:
        async with _client(recipe, allow_private=allow_private) as client:
            at_work.append(Collector(recipe, client, journal, update=update))
            return await at_work[0].run()

    def watch() -> None:
        for it in at_work:
            shown = {"pages": f"{it.pages:,}", "kept": f"{it.new:,}"}
            progress.update(it.done, shown)

    progress.start("collecting", None)
    with Journal(out) as journal:
        collected = run_apart(work, watch)
    progress.finish()
    if collected.stopped == INTERRUPTED:
        raise CollectingInterrupted(collected)
    return collected


def look_at_first_pages(
    recipe: CollectRecipe, *, allow_private: bool, progress: Progress
) -> Collected:
    """Read the first page of each class, and nothing else; no file is written.

    Args:
        recipe: What to collect.
        allow_private: Connect to addresses of private networks too.
        progress: Receives the progress, in this thread.
    """
    pages: list[FirstPage] = []
    began = time.monotonic()

    async def forget(origin: str, rules: Rules) -> None:
        """Keep no robots.txt: there is no folder."""

    async def work() -> int:
        async with _client(recipe, allow_private=allow_private) as client:
            requests = Requests(client, recipe.options, {}, forget)
            for label, starts in recipe.classes.items():
                for address in starts:
                    pages.append(await _first_page(requests, recipe, label, address))
            return client.received

    progress.start("first pages", sum(map(len, recipe.classes.values())))
    received = run_apart(work, lambda: progress.update(len(pages)))
    progress.finish()
    seconds = time.monotonic() - began
    return Collected(out=None, received=received, seconds=seconds, pages=tuple(pages))


async def _first_page(
    requests: Requests, recipe: CollectRecipe, label: str, address: str
) -> FirstPage:
    try:
        answer = await requests.fetch(address, accept=PAGE_TYPES, most_bytes=PAGE_BYTES)
        kind = answer.headers.get("content-type")
        listed = await asyncio.to_thread(
            read_page, answer.body, kind, answer.address, recipe.options
        )
        return FirstPage(label, address, listed)
    except FetchError as error:
        return FirstPage(label, address, None, error.reason)


def _client(recipe: CollectRecipe, *, allow_private: bool) -> Client:
    return Client(
        user_agent=recipe.options.user_agent,
        timeout_s=recipe.options.timeout,
        allow_private=allow_private,
    )


def run_apart(work: Callable[[], Awaitable[ResultT]], watch: Callable[[], None]) -> ResultT:
    """Run a coroutine in a thread with a loop of its own, and return its result.

    Ctrl-C cancels it; what it then returns is the result. A second one is raised at once.

    Args:
        work: Makes the coroutine.
        watch: Called now and then meanwhile, in this thread.
    """
    result: Future[ResultT] = Future()
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def main() -> ResultT:
        task = asyncio.current_task()
        if task is not None:
            running.set_result((asyncio.get_running_loop(), task))
        return await work()

    def run() -> None:
        try:
            result.set_result(asyncio.run(main()))
        except BaseException as error:  # Whoever waits for it raises it.
            result.set_exception(error)

    thread = threading.Thread(target=run, name="foveal-collect", daemon=True)
    thread.start()
    is_cancelled = False
    while thread.is_alive():
        try:
            thread.join(_LOOK_EVERY_S)
            watch()
        except KeyboardInterrupt:
            if is_cancelled:
                raise
            is_cancelled = True
            loop, task = running.result()
            loop.call_soon_threadsafe(task.cancel)
    return result.result()
