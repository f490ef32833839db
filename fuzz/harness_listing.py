"""What a web site answers to `foveal collect`: pages, robots.txt, Retry-After, addresses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from protego import Protego

from foveal.collect.addresses import AddressError, normal
from foveal.collect.pages import PageContents, read_page
from foveal.collect.pictures import look_at
from foveal.collect.recipe import Options
from foveal.collect.robots import delay_of
from foveal.collect.waiting import retry_after

MAX_BYTES = 6_000
_ADDRESS = "http://example.org/list/"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_OPTIONS = Options(
    item="li", picture="img::attr(srcset)", next="//a/@href", fields={"title": "h3", "all": "."}
)


def test_one(data: bytes) -> None:
    """Read the bytes as everything that a host may say."""
    contents = read_page(data, data[:60].decode("latin-1"), _ADDRESS, _OPTIONS)
    if PageContents.from_json(contents.to_json()) != contents:
        raise AssertionError(contents)
    for entry in contents.entries:
        if entry.problem is None and normal(entry.picture) != entry.picture:
            raise AssertionError(entry)
    text = data.decode("utf-8", "replace")
    rules = Protego.parse(text)
    rules.can_fetch(_ADDRESS, "foveal")
    delay = delay_of(rules, "foveal")
    wait = retry_after(text, _NOW)
    if any(seconds is not None and not seconds >= 0 for seconds in (delay, wait)):
        raise AssertionError((delay, wait))
    look_at(data)
    try:
        normal(text, _ADDRESS)
    except AddressError:
        return


def seeds() -> Iterator[bytes]:
    """Give small ones of each."""
    yield (
        b'<meta charset="shift_jis"><base href="/x/"><li class="ad"><h3>Ad</h3>'
        b'<img srcset="a.png 1x, b.png 2x"></li><a href="?page=2">next</a>'
    )
    yield b"User-agent: *\nDisallow: /a*b$\nCrawl-delay: 2.5\nRequest-rate: 1/10s 0900-1700\n"
    yield b"Sun, 06 Nov 1994 08:49:37 GMT"
    yield b"https://b\xc3\xbccher.example:443/a%20b/../c?q=\xc3\xbc#top"
