"""Parse listing pages: entries with pictures and fields, and the link to the next page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, final

import parsel
from w3lib.encoding import html_to_unicode
from w3lib.html import get_base_url

from foveal.collect.addresses import AddressError, normal
from foveal.collect.recipe import Options
from foveal.collect.selectors import to_xpath
from foveal.errors import RecipeError

# Enough for a description; a field that selects half a page is a mistake.
_MAX_TEXT = 2_000
_CANDIDATE = re.compile(r"([^\s,]\S*[^\s,])\s+(\d+(?:\.\d+)?)[wx](?:\s*,|\s*$)")
# Where elements have the address that they stand for. Pages that load pictures late keep it in
# the second or third.
_ATTRIBUTES = ("src", "data-src", "data-original", "href", "content", "data", "poster")


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a page.

    Attributes:
        picture: Absolute address; what cannot be fetched is kept as it stands, shortened.
        fields: Name → text of its entry.
        problem: Why the address cannot be fetched, or None.
    """

    picture: str
    fields: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


@final
@dataclass(frozen=True, slots=True)
class PageContents:
    """The contents of a listing page.

    Attributes:
        entries: Its pictures, in order, each once.
        items: How many entries the page has, also those without a picture.
        next: Absolute address of the next page, or None.
    """

    entries: tuple[Entry, ...]
    items: int
    next: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        entries = [[e.picture, dict(e.fields), e.problem] for e in self.entries]
        return {"entries": entries, "items": self.items, "next": self.next}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        entries = tuple(Entry(*entry) for entry in value["entries"])
        return cls(entries, value["items"], value["next"])


def read_page(
    body: bytes, content_type: str | None, address: str, options: Options
) -> PageContents:
    """Return what a page lists.

    Args:
        body: The page, in the encoding that its first bytes, its header or itself says.
        content_type: Header, or None.
        address: Where it came from, after redirects.
        options: The selectors.

    Raises:
        RecipeError: If a selector cannot be evaluated.
    """
    encoding, text = html_to_unicode(content_type, body)
    base = get_base_url(text, address)
    page = parsel.Selector(text=text, type="html")
    items = _select(page, options.item) if options.item else [page]
    entries: dict[str, Entry] = {}
    for item in items:
        fields = {name: _text(item, selector) for name, selector in options.fields.items()}
        for value in _addresses(item, options.picture):
            entry = _entry(value, base, encoding, fields)
            entries.setdefault(entry.picture, entry)
    following = next(_addresses(page, options.next), None) if options.next else None
    return PageContents(tuple(entries.values()), len(items), _next(following, base, encoding))


def _entry(value: str, base: str, encoding: str, fields: Mapping[str, str]) -> Entry:
    try:
        return Entry(normal(value, base, encoding), fields)
    except AddressError as error:
        return Entry(value[:80], fields, str(error))


def _next(value: str | None, base: str, encoding: str) -> str | None:
    try:
        return normal(value, base, encoding) if value else None
    except AddressError:
        # `javascript:` and the like: there is no next page that could be fetched.
        return None


def _select(item: parsel.Selector, selector: str) -> list[parsel.Selector]:
    try:
        return list(item.xpath(to_xpath(selector)))
    except ValueError as error:
        # XPath that is well formed may still call a function that there is not.
        reason = " ".join(str(error).split())
        raise RecipeError(f"Invalid selector {selector!r}: {reason}.") from error


def _addresses(item: parsel.Selector, selector: str) -> Iterator[str]:
    for found in _select(item, selector):
        root = found.root
        value = _largest(root) if isinstance(root, str) else _of_element(root)
        if value.strip():
            yield value.strip()


def _of_element(element: Any) -> str:
    values = [str(element.get(name) or "").strip() for name in _ATTRIBUTES]
    # A placeholder, until a script puts the real address there.
    given = [value for value in values if value and not value.startswith("data:")]
    return next(iter(given), next((value for value in values if value), ""))


def _largest(value: str) -> str:
    """Return the largest picture of a `srcset`; any other text as it is."""
    candidates = _CANDIDATE.findall(value)
    return max(candidates, key=lambda found: float(found[1]))[0] if candidates else value


def _text(item: parsel.Selector, selector: str) -> str:
    for first in _select(item, selector)[:1]:
        root = first.root
        text = root if isinstance(root, str) else str(first.xpath("string(.)").get())
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_TEXT]
    return ""
