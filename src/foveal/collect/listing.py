"""The listing pages of a class: order, and detection of loops."""

from __future__ import annotations

from collections import Counter, deque
from typing import final

from foveal.collect.pages import PageContents


@final
class Listing:
    """The state of a class.

    Attributes:
        kept: Pictures that there are.
        read: Listing pages that were read.
        pending: Pictures that are queued, or being fetched.
        notes: What a person should know → how often.

    Args:
        label: The class.
        most_pictures: How many are wanted.
        most_pages: How many of its pages are read.
        kept: Pictures that there are already.
    """

    def __init__(self, label: str, most_pictures: int, most_pages: int, kept: int) -> None:
        self.label = label
        self.kept = kept
        self.read = 0
        self.pending = 0
        self.notes: Counter[str] = Counter()
        self._most_pictures = most_pictures
        self._most_pages = most_pages
        self._pages = 0
        self._seen: set[str] = set()
        self._lists: set[tuple[str, ...]] = set()
        self._waiting: deque[tuple[str, str]] = deque()

    def is_full(self) -> bool:
        """Return whether as many pictures as wanted are there."""
        return self.kept >= self._most_pictures

    def over(self) -> None:
        """Note that a picture is not fetched, or not kept, since there are enough."""
        self.notes[
            f"the limit of {self._most_pictures:,} pictures was reached (limits.pictures)"
        ] += 1

    def follow(self, address: str, page: str) -> None:
        """Add a page, unless it leads back to one that was there before.

        Args:
            address: URL of the page.
            page: Where the link to it is; empty for a start.
        """
        if address in self._seen:
            if page:
                self.notes[f"the next page of {page} is an earlier page"] += 1
            return
        self._seen.add(address)
        self._waiting.append((address, page))

    def next_page(self) -> tuple[str, str] | None:
        """Return (address, page that leads there) of the next page to read, or None."""
        if not self._waiting:
            return None
        if self.is_full():
            self.over()
        elif self._pages >= self._most_pages:
            self.notes[f"the limit of {self._most_pages:,} pages was reached (limits.pages)"] += 1
        else:
            self._pages += 1
            return self._waiting.popleft()
        self._waiting.clear()
        return None

    def is_repeated(self, address: str, contents: PageContents) -> bool:
        """Return whether a page lists what another one did, in the same order.

        Sites answer a number beyond the last page with the last page, under an address of its own
        and with a link to the next.
        """
        pictures = tuple(entry.picture for entry in contents.entries)
        if pictures in self._lists:
            self.notes[f"{address} lists the same pictures as an earlier page"] += 1
            return True
        self._lists.add(pictures)
        return False
