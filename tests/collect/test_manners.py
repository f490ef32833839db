"""Retry-After, robots.txt, addresses, and the pages of strangers."""

import asyncio
import ipaddress
import random
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from website import picture

from foveal.collect import network, pictures
from foveal.collect.addresses import AddressError, is_public, normal
from foveal.collect.fetch import FetchError, Response
from foveal.collect.host import Host
from foveal.collect.network import PublicBackend, RefusedHostError
from foveal.collect.pages import read_page
from foveal.collect.provenance import as_cell
from foveal.collect.recipe import Options
from foveal.collect.robots import Robots, Rules
from foveal.collect.waiting import back_off, retry_after
from foveal.errors import ImageError, ImageFormatError, ImageMemoryError

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 29 Nov 2026 12:01:00 GMT", 60),
        ("Sunday, 29-Nov-26 12:01:00 GMT", 60),
        ("Sun Nov 29 12:01:00 2026", 60),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 29 Nov 2026 13:01:00 +0100", 60),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("\u0663", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 2026 12:01:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_breaks_anything(value: str) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**6), st.integers(-12, 12))
def test_a_date_is_understood_in_every_zone(seconds: int, hours: int) -> None:
    then = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    assert retry_after(format_datetime(then), NOW) == seconds


def test_the_time_between_tries_doubles_up_to_five_minutes() -> None:
    rng = random.Random(0)
    for failures, longest in ((1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (10_000, 300)):
        assert all(longest / 2 <= back_off(failures, rng) <= longest for _ in range(50))


def test_a_host_waits_for_what_it_is_told() -> None:
    async def waited() -> tuple[float, str]:
        host = Host(0.0, random.Random(0))
        loop = asyncio.get_running_loop()
        host.failed(FetchError("HTTP 429", passes=True, wait_s=0.2))
        began = loop.time()
        await host.turn()
        took = loop.time() - began
        host.failed(FetchError("HTTP 429", passes=True, wait_s=4000))
        with pytest.raises(FetchError) as caught:
            await host.turn()
        return took, caught.value.reason

    took, reason = asyncio.run(waited())
    assert took >= 0.2
    assert reason == "the host asked to wait for more than an hour"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("fec0::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_addresses_that_are_not_of_the_public_internet(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("given_address", "base", "wanted"),
    [
        ("b.png", "http://x/a/", "http://x/a/b.png"),
        ("//y/b.png", "https://x/a/", "https://y/b.png"),
        ("http://x", "", "http://x/"),
        ("http://x/a b?q=ü#top", "", "http://x/a%20b?q=%C3%BC"),
        ("http://x/%7Ea", "", "http://x/%7Ea"),
        (" ht\ntp://x/a\t ", "", "http://x/a"),
        ("http://bücher.example/a", "", "http://xn--bcher-kva.example/a"),
    ],
)
def test_addresses_are_made_absolute(given_address: str, base: str, wanted: str) -> None:
    assert normal(given_address, base) == wanted


@given(st.text(), st.sampled_from(["", "http://x/a/"]))
def test_any_text_is_an_address_or_refused(text: str, base: str) -> None:
    try:
        address = normal(text, base)
    except AddressError:
        return
    assert address.startswith(("http://", "https://"))
    assert address.isascii()
    assert normal(address) == address


def allowed(
    rules: Rules | Response | FetchError, address: str, agent: str = "foveal"
) -> str | float | None:
    """Return why an address may not be fetched, or the delay."""
    asked: list[str] = []

    async def fetch(address: str) -> Response:
        asked.append(address)
        if isinstance(rules, FetchError):
            raise rules
        assert isinstance(rules, Response)
        return rules

    async def learnt(origin: str, rules: Rules) -> None: ...

    known = {"http://x": rules} if isinstance(rules, Rules) else {}
    robots = Robots(agent, fetch, known, learnt)

    async def check() -> float | None:
        await robots.check(address)
        return await robots.check(address)

    try:
        return asyncio.run(check())
    except FetchError as error:
        return error.reason
    finally:
        assert asked in ([], ["http://x/robots.txt"])


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("", "/a", None),
        ("User-agent: *\nDisallow: /", "/a", "forbidden by robots.txt"),
        ("User-agent: *\nDisallow: /\nAllow: /a", "/a", None),
        ("User-agent: other\nDisallow: /", "/a", None),
        ("User-Agent: FOVEAL\nDisallow: /a\n\nUser-agent: *\nDisallow: /", "/b", None),
        ("User-agent: *\nDisallow: /*.png$", "/a.png", "forbidden by robots.txt"),
        ("User-agent: *\nDisallow: /*.png$", "/a.png?b", None),
        ("User-agent: *\nCrawl-delay: 2.5", "/a", 2.5),
        ("User-agent: *\nRequest-rate: 1/10\nCrawl-delay: 2", "/a", 10.0),
        ("User-agent: *\nCrawl-delay: nan", "/a", None),
        # Nothing that a robots.txt can say takes long to compare.
        (f"User-agent: *\nDisallow: /{'*a' * 40}b", "/" + "a" * 3_000, None),
        ("<html>not found</html>", "/a", None),
        ("\0\xff\nDisallow: /", "/a", None),
    ],
)
def test_robots_txt_is_understood(text: str, path: str, wanted: str | float | None) -> None:
    assert allowed(Rules(text), f"http://x{path}") == wanted


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (
            Response("", 200, {}, b"\xef\xbb\xbfUser-agent: *\nDisallow: /"),
            "forbidden by robots.txt",
        ),
        (FetchError("HTTP 404", status=404), None),
        (FetchError("HTTP 403", status=403), None),
        (FetchError("HTTP 503", passes=True, status=503), "robots.txt: HTTP 503"),
        (FetchError("HTTP 429", passes=True, status=429), "robots.txt: HTTP 429"),
        (FetchError("timed out", passes=True), "robots.txt: timed out"),
        (FetchError("private address"), "private address"),
        (FetchError("too many redirects"), None),
    ],
)
def test_a_robots_txt_that_is_not_there_allows_and_one_that_fails_forbids(
    answer: Response | FetchError, wanted: str | None
) -> None:
    assert allowed(answer, "http://x/a") == wanted


def test_the_address_that_was_looked_at_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A name server that answers with a public address first, and with this machine after that.
    answers = [["93.184.216.34", "10.0.0.1"], ["127.0.0.1"]]
    connected: list[str] = []

    async def look_up(host: str, port: int) -> list[ipaddress.IPv4Address]:
        return [ipaddress.IPv4Address(text) for text in answers.pop(0)]

    class Inner:
        async def connect_tcp(self, host: str, *rest: object) -> str:
            connected.append(host)
            return "stream"

    monkeypatch.setattr(network, "addresses_of", look_up)
    backend = PublicBackend()
    monkeypatch.setattr(backend, "_inner", Inner())
    assert asyncio.run(backend.connect_tcp("rebinding.example", 80)) == "stream"  # type: ignore[comparison-overlap]
    assert connected == ["93.184.216.34"]
    with pytest.raises(RefusedHostError):
        asyncio.run(backend.connect_tcp("rebinding.example", 80))
    assert connected == ["93.184.216.34"]


def listed(page: str, **options: object) -> list[str]:
    contents = read_page(page.encode(), "text/html", "http://x/list/", Options(**options))  # type: ignore[arg-type]
    return [entry.picture for entry in contents.entries]


@pytest.mark.parametrize(
    ("page", "options", "wanted"),
    [
        ('<img src="a.png">', {}, ["http://x/list/a.png"]),
        ('<img src="data:x" data-src="/a.png">', {}, ["http://x/a.png"]),
        ('<a href="/a.png">', {"picture": "a"}, ["http://x/a.png"]),
        (
            '<img srcset="s.png 320w, /l.png 1024w, m.png 640w">',
            {"picture": "img::attr(srcset)"},
            ["http://x/l.png"],
        ),
        ('<p data-u="/a.png">', {"picture": "//p/@data-u"}, ["http://x/a.png"]),
        (
            '<li><img src="/1.png"></li><img src="/2.png">',
            {"item": "li", "picture": "//img"},
            ["http://x/1.png"],
        ),
        ('<meta property="og:image" content="/a.png">', {"picture": "meta"}, ["http://x/a.png"]),
        ('<img src="/a.png"><img src="/a.png">', {}, ["http://x/a.png"]),
        ('<li data-u="/a.png">', {"item": "li", "picture": "@data-u"}, ["http://x/a.png"]),
        ('<img src="/a.png">', {"item": "img", "picture": "."}, ["http://x/a.png"]),
        ("<img>", {}, []),
        ("", {}, []),
    ],
)
def test_pictures_are_found_where_pages_have_them(
    page: str, options: dict[str, object], wanted: list[str]
) -> None:
    assert listed(page, **options) == wanted


def test_a_page_of_any_depth_is_read() -> None:
    page = "<div>" * 100_000 + '<img src="/a.png">'
    assert listed(page, item="div") in ([], ["http://x/a.png"])


def test_what_this_machine_cannot_decode_may_be_kept_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without(error: ImageError) -> str | None:
        def decode(*args: object, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr(pictures, "decode", decode)
        looked = pictures.look_at(picture(1))
        return looked.problem if looked.passes else None

    missing = ImageFormatError("HEIC", code="extra_missing")
    assert without(missing) == "HEIC needs foveal[heic]"
    assert without(ImageMemoryError("memory")) == "not enough memory to decode it"
    assert without(ImageFormatError("format")) is None
    assert without(ImageError("damaged")) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page(body: bytes) -> None:
    options = Options(item="*", picture="img", next="a", fields={"text": "*"})
    read_page(b"<img src=" + body, None, "http://x/", options)


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-2", "-2"), ("-x", "'-x"), ("+3.5", "+3.5"), ("a", "a")],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert as_cell(text) == cell
