"""Collecting from a local site: what is kept, what is not and why, and how the host is treated."""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from website import Handler, Site, picture

import foveal
from foveal.cli.main import run
from foveal.collect import fetch, network
from foveal.collect.journal import Journal
from foveal.collect.provenance import update_provenance
from foveal.collect.report import CollectingInterrupted
from foveal.curation.decisions import Decision, Decisions
from foveal.data.layouts import open_source
from foveal.errors import UsageError

Write = Callable[..., Path]


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "provenance.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reasons(out: Path) -> dict[str, str]:
    """Return the last part of each address → why it was not kept, or how it was."""
    return {
        row["address"].rpartition("/")[2]: row["reason"] or row["outcome"] for row in rows_of(out)
    }


def test_pages_are_followed_and_the_bytes_kept(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=3, each=4)
    site.listing("laptop", pages=2, each=3, seed=50_000)
    out = tmp_path / "photos"
    fields = {"title": "h3", "price": "b::text"}
    collected = foveal.collect(
        recipe("phone", "laptop", fields=fields), out, allow_private=True, verbose=False
    )
    assert {name: (c.pages, c.kept) for name, c in collected.classes.items()} == {
        "phone": (3, 12),
        "laptop": (2, 6),
    }
    assert (collected.new, collected.kept, collected.stopped) == (18, 18, None)
    rows = rows_of(out)
    assert len(rows) == 18
    row = next(row for row in rows if row["address"] == f"{site.address}/phone/2-1.png")
    body = picture(2001)
    assert (out / row["file"]).read_bytes() == body
    assert row["sha256"] == hashlib.sha256(body).hexdigest()
    assert row["file"] == f"phone/{row['sha256'][:32]}.png"
    assert row["page"] == f"{site.address}/phone/2"
    assert (row["title"], row["price"]) == ("Ad 1", "1 €")
    assert (row["status"], row["outcome"], row["bytes"]) == ("200", "kept", str(len(body)))
    assert set(site.hits.values()) == {1}
    assert site.agents == {f"foveal/{foveal.__version__}"}


def test_a_notebook_shows_what_was_collected_and_why_the_rest_was_not(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=2, each=3)
    del site.answers["/phone/1-1.png"]
    path = recipe("phone", fields={"title": "h3"})
    listed = foveal.collect(path, dry_run=True, allow_private=True, verbose=False)
    assert repr(listed) == "Collected(first pages only: 3 pictures listed)"
    assert f"{site.address}/phone/1-0.png" in listed._repr_html_()
    out = tmp_path / "photos"
    collected = foveal.collect(path, out, allow_private=True, verbose=False)
    assert repr(collected) == f"Collected({out}: 5 pictures, 5 new)"
    assert collected.rows() == [("phone", "2", "5", "0", "1")]
    html = collected._repr_html_()
    assert "HTTP 404" in html
    assert "<table" in html


def test_the_folder_can_be_trained_on_at_once(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=1, each=4)
    site.listing("laptop", pages=1, each=3, seed=50_000)
    out = tmp_path / "photos"
    foveal.collect(recipe("phone", "laptop"), out, allow_private=True, verbose=False)
    source = open_source(out)
    assert source.layout == "7 pictures in 2 class folders"
    assert source.findings == ()
    assert [s.raw for s in source.samples] == [("laptop",)] * 3 + [("phone",)] * 4


def test_the_same_call_again_fetches_nothing(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=3, each=4)
    path, out = recipe(), tmp_path / "photos"
    foveal.collect(path, out, allow_private=True, verbose=False)
    before, csv_before = sum(site.hits.values()), (out / "provenance.csv").read_bytes()
    again = foveal.collect(path, out, allow_private=True, verbose=False)
    assert sum(site.hits.values()) == before
    assert (again.new, again.kept) == (0, 12)
    assert (out / "provenance.csv").read_bytes() == csv_before


def test_the_provenance_follows_pictures_that_are_cleaned(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=3)
    site.listing("laptop", pages=1, each=3, seed=50_000)
    path, out = recipe("phone", "laptop"), tmp_path / "photos"
    foveal.collect(path, out, allow_private=True, verbose=False)
    before = (out / "provenance.csv").read_bytes()
    names = [row["file"] for row in rows_of(out)]
    relabelled, put_away = [name for name in names if name.startswith("phone/")][:2]
    decisions = Decisions(out / ".foveal" / "review.jsonl")
    at = datetime(2026, 7, 1, tzinfo=UTC)
    decisions.append(Decision(relabelled, "relabel", "laptop", "labels.suspect", at))
    decisions.append(Decision(put_away, "quarantine", None, "images.blank", at))
    foveal.clean(out, verbose=False)
    moved = {
        relabelled: relabelled.replace("phone", "laptop"),
        put_away: f".foveal/quarantine/{put_away}",
    }
    after = [row["file"] for row in rows_of(out)]
    assert after == [moved.get(name, name) for name in names]
    # The next collection writes it anew from its log.
    foveal.collect(path, out, allow_private=True, verbose=False)
    assert [row["file"] for row in rows_of(out)] == after
    foveal.clean(out, undo=True, verbose=False)
    assert (out / "provenance.csv").read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"address;file\n1;2\n", b'file,address\n"a', b"", b"file,address\n\xff,1\n"]
)
def test_a_provenance_that_somebody_changed_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "provenance.csv").write_bytes(content)
    update_provenance(tmp_path)
    assert (tmp_path / "provenance.csv").read_bytes() == content


def test_what_a_person_removed_does_not_come_back(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=3)
    path, out = recipe(), tmp_path / "photos"
    foveal.collect(path, out, allow_private=True, verbose=False)
    charger = sorted((out / "phone").iterdir())[0]
    charger.unlink()
    foveal.collect(path, out, allow_private=True, update=True, verbose=False)
    assert not charger.exists()
    assert len(list((out / "phone").iterdir())) == 2


def test_an_update_brings_what_is_new_on_the_pages(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=2, each=3)
    path, out = recipe(), tmp_path / "photos"
    foveal.collect(path, out, allow_private=True, verbose=False)
    site.file("/phone/new.png", picture(77))
    site.page("/phone/1", ["/phone/new.png", "/phone/1-0.png"], "/phone/2")
    assert foveal.collect(path, out, allow_private=True, verbose=False).new == 0
    updated = foveal.collect(path, out, allow_private=True, update=True, verbose=False)
    assert (updated.new, updated.kept) == (1, 7)
    assert site.hits["/phone/1-0.png"] == 1


def test_what_is_no_good_picture_is_left_out_with_its_reason(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    whole = picture(1, "JPEG", size=64)
    white = io.BytesIO()
    PILImage.fromarray(np.full((9000, 9000), 255, np.uint8)).save(white, "PNG")
    names = "page.jpg html.jpg cut.jpg empty.jpg bomb.png video.mp4 missing.jpg good.jpg".split()
    site.page("/phone/1", [f"/{name}" for name in names] + ["data:image/gif;base64,R0lG"])
    site.file("/page.jpg", b"<!doctype html><html><body>Sorry</body></html>", "image/jpeg")
    site.file("/html.jpg", b"<html></html>", "text/html")
    site.file("/cut.jpg", whole[: len(whole) // 2], "image/jpeg")
    site.file("/empty.jpg", b"", "image/jpeg")
    site.file("/bomb.png", white.getvalue(), "image/png")
    site.file("/video.mp4", b"\0\0\0\x18ftypmp42", "video/mp4")
    site.file("/good.jpg", whole, "application/octet-stream")
    out = tmp_path / "photos"
    collected = foveal.collect(recipe(picture="img"), out, allow_private=True, verbose=False)
    assert reasons(out) == {
        "page.jpg": "not a picture: text/html",
        "html.jpg": "not a picture: text/html",
        "cut.jpg": "damaged picture",
        "empty.jpg": "not a picture: empty",
        "bomb.png": "too many pixels",
        "video.mp4": "not a picture: video/mp4",
        "missing.jpg": "HTTP 404",
        "good.jpg": "kept",
        "gif;base64,R0lG": "not an http or https address",
    }
    assert collected.left["not a picture: text/html"] == 2
    assert [file.suffix for file in (out / "phone").iterdir()] == [".jpg"]


def test_the_name_ends_as_the_bytes_are_whatever_the_address_says(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.page("/phone/1", ["/a.jpg", "/b"])
    site.file("/a.jpg", picture(1, "PNG"), "image/jpeg")
    site.file("/b", picture(2, "WEBP"), None)
    out = tmp_path / "photos"
    foveal.collect(recipe(), out, allow_private=True, verbose=False)
    assert sorted(file.suffix for file in (out / "phone").iterdir()) == [".png", ".webp"]


def test_equal_bytes_are_kept_once_also_across_classes(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.page("/phone/1", ["/a.png", "/b.png", "/shared.png"])
    site.page("/laptop/1", ["/c.png", "/shared.png"])
    for name in "abc":
        site.file(f"/{name}.png", picture(1))
    site.file("/shared.png", picture(2))
    out = tmp_path / "photos"
    collected = foveal.collect(recipe("phone", "laptop"), out, allow_private=True, verbose=False)
    assert sum(len(list(folder.iterdir())) for folder in out.iterdir() if folder.is_dir()) == 3
    assert collected.kept == 2
    assert sum(count.copies for count in collected.classes.values()) == 2
    files = {row["file"] for row in rows_of(out) if row["outcome"] in ("kept", "copy")}
    assert len(files) == 2
    assert site.hits["/shared.png"] == 1
    assert any(reason.startswith("also listed under ") for reason in collected.left)


def test_an_address_of_two_classes_that_failed_for_the_moment_is_asked_for_by_the_next_call(
    site: Site, recipe: Write, tmp_path: Path, hurried: None
) -> None:
    site.page("/phone/1", ["/shared.png"])
    site.page("/laptop/1", ["/shared.png"])
    site.status("/shared.png", (503, {}), then=lambda h: h.give(picture(2), "image/png"))
    out = tmp_path / "photos"
    path = recipe("phone", "laptop", tries=1)
    first = foveal.collect(path, out, allow_private=True, verbose=False)
    assert first.kept == 0
    second = foveal.collect(path, out, allow_private=True, verbose=False)
    assert second.kept == 1
    assert [row["outcome"] for row in rows_of(out)].count("kept") == 1


def test_a_host_that_asks_to_wait_is_left_alone_for_so_long(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=3)
    good = site.answers["/phone/1-0.png"]
    site.status("/phone/1-0.png", (429, {"Retry_After": "1"}), then=good)
    collected = foveal.collect(
        recipe(connections=1), tmp_path / "photos", allow_private=True, verbose=False
    )
    assert collected.kept == 3
    first, second = site.times["/phone/1-0.png"]
    assert second - first >= 1
    # The others too: it is the host that asked.
    assert site.times["/phone/1-1.png"][0] >= second


def test_a_host_that_asks_for_over_an_hour_is_left_to_the_next_call(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=3)
    good = site.answers["/phone/1-1.png"]
    site.status("/phone/1-1.png", (503, {"Retry_After": "86400"}), then=good)
    path, out = recipe(connections=1), tmp_path / "photos"
    first = foveal.collect(path, out, allow_private=True, verbose=False)
    assert first.left == {"the host asked to wait for more than an hour": 2}
    assert foveal.collect(path, out, allow_private=True, verbose=False).kept == 3
    assert site.hits["/phone/1-0.png"] == 1


@pytest.mark.usefixtures("hurried")
def test_errors_that_pass_are_tried_again_and_again_in_the_next_call(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=2)
    good = site.answers["/phone/1-0.png"]
    site.status("/phone/1-0.png", (500, {}), (502, {}), then=good)
    site.file("/phone/1-1.png", b"", "text/plain", status=500)  # type: ignore[arg-type]
    path, out = recipe(tries=3), tmp_path / "photos"
    foveal.collect(path, out, allow_private=True, verbose=False)
    assert reasons(out) == {"1-0.png": "kept", "1-1.png": "HTTP 500"}
    assert (site.hits["/phone/1-0.png"], site.hits["/phone/1-1.png"]) == (3, 3)
    site.file("/phone/1-1.png", picture(9))
    assert foveal.collect(path, out, allow_private=True, verbose=False).kept == 2
    assert site.hits["/phone/1-0.png"] == 3


@pytest.mark.usefixtures("hurried")
def test_a_host_that_always_fails_is_given_up(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=1, each=40)
    for i in range(40):
        site.file(f"/phone/1-{i}.png", b"", "text/plain", status=503)  # type: ignore[arg-type]
    collected = foveal.collect(
        recipe(connections=1), tmp_path / "photos", allow_private=True, verbose=False
    )
    assert sum(site.hits[f"/phone/1-{i}.png"] for i in range(40)) == 10
    assert collected.left["the host failed 10 times in a row"] >= 37


@pytest.mark.usefixtures("hurried")
def test_answers_that_stall_or_never_end_are_given_up(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    def stall(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        site.release.wait()

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "image/png")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        while not site.release.is_set():
            handler.wfile.write(bytes(10_000))

    def short(handler: Handler) -> None:
        handler.give(picture(1), "image/png", Content_Length=str(10_000))
        handler.close_connection = True

    site.page("/phone/1", ["/stall.png", "/endless.png", "/short.png", "/stated.png"])
    site.answers |= {"/stall.png": stall, "/endless.png": endless, "/short.png": short}
    site.file("/stated.png", bytes(200_000))
    options = {"timeout": 0.3, "tries": 2, "limits": {"picture_bytes": "100kB"}}
    out = tmp_path / "photos"
    foveal.collect(recipe(**options), out, allow_private=True, verbose=False)
    assert reasons(out) == {
        "stall.png": "timed out",
        "endless.png": "too many bytes",
        "short.png": "invalid response",
        "stated.png": "too many bytes",
    }


def test_waiting_for_a_free_connection_is_no_time_of_the_host(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_MAX_CONNECTIONS", 1)
    monkeypatch.setattr(fetch, "_SLOWEST", 1)
    site.answers["/stall"] = lambda handler: site.release.wait() and None
    site.file("/good", b"good", "text/plain")

    async def both() -> tuple[BaseException | fetch.Response, ...]:
        options = {"user_agent": "test", "timeout_s": 1.0, "allow_private": True}
        async with fetch.Client(**options) as client:  # type: ignore[arg-type]
            asked = (
                client.get(site.address + path, accept="*/*", most_bytes=10)
                for path in ("/stall", "/good")
            )
            return tuple(await asyncio.gather(*asked, return_exceptions=True))

    stalled, good = asyncio.run(both())
    assert isinstance(stalled, fetch.FetchError)
    assert isinstance(good, fetch.Response)
    assert good.body == b"good"


def test_packed_answers_are_unpacked_up_to_the_limit(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    page = b'<html><li class="ad"><img src="/a.png"><img src="/bomb.png"><img src="/odd.png"></li>'
    site.file("/phone/1", gzip.compress(page), "text/html", Content_Encoding="gzip")
    site.file("/a.png", gzip.compress(picture(1)), "image/png", Content_Encoding="gzip")
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 50_000
    site.file("/bomb.png", bomb, "image/png", Content_Encoding="gzip")
    site.file("/odd.png", picture(2), "image/png", Content_Encoding="br")
    out = tmp_path / "photos"
    foveal.collect(
        recipe(limits={"picture_bytes": "100kB"}), out, allow_private=True, verbose=False
    )
    assert reasons(out) == {
        "a.png": "kept",
        "bomb.png": "too many bytes",
        "odd.png": "unknown encoding",
    }


def test_redirects_are_followed_so_far(site: Site, recipe: Write, tmp_path: Path) -> None:
    def to(target: str) -> Callable[[Handler], None]:
        return lambda handler: handler.give(b"", None, 302, Location=target)

    site.page("/phone/1", ["/moved.png", "/round.png", "/ftp.png"])
    site.file("/here.png", picture(1))
    site.answers |= {
        "/moved.png": to("here.png#top"),
        "/round.png": to("/round.png"),
        "/ftp.png": to("ftp://127.0.0.1/a.png"),
    }
    out = tmp_path / "photos"
    foveal.collect(recipe(), out, allow_private=True, verbose=False)
    assert reasons(out) == {
        "moved.png": "kept",
        "round.png": "too many redirects",
        "ftp.png": "redirected to not an http or https address",
    }
    row = next(row for row in rows_of(out) if row["outcome"] == "kept")
    assert row["redirected_to"] == f"{site.address}/here.png"
    assert site.hits["/round.png"] == 6


def test_private_addresses_are_refused_also_after_a_redirect(
    site: Site, recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = recipe(), tmp_path / "photos"
    site.listing("phone", pages=1, each=1)
    refused = foveal.collect(path, out, verbose=False)
    assert refused.kept == 0
    assert "private address" in refused.notes[0]
    assert not site.hits
    # Only 127.0.0.1 plays the public internet now.
    monkeypatch.setattr(network, "is_public", lambda a: str(a) == "127.0.0.1")
    port = site.address.rpartition(":")[2]
    inside = f"http://127.0.0.2:{port}/secret.png"
    site.answers["/phone/1-0.png"] = lambda h: h.give(b"", None, 302, Location=inside)
    site.page("/phone/1", ["/phone/1-0.png", f"http://2130706434:{port}/number.png"])
    site.file("/secret.png", picture(1))
    assert foveal.collect(path, out, verbose=False).left == {"private address": 2}
    assert site.hits["/secret.png"] == 0


def test_what_robots_txt_forbids_is_not_fetched(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=2, each=2)
    rules = b"User-agent: *\nDisallow: /\n\nUser-agent: foveal\nDisallow: /phone/2-\n"
    site.file("/robots.txt", rules, "text/plain")
    path, out = recipe(), tmp_path / "photos"
    collected = foveal.collect(path, out, allow_private=True, verbose=False)
    assert (collected.kept, collected.left) == (2, {"forbidden by robots.txt": 2})
    assert site.hits["/phone/2-0.png"] == 0
    path = recipe(robots=False)
    assert foveal.collect(path, out, allow_private=True, verbose=False).kept == 4
    assert site.hits["/robots.txt"] == 1


@pytest.mark.usefixtures("hurried")
def test_a_robots_txt_that_fails_forbids_everything(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=1)
    site.file("/robots.txt", b"", "text/plain", status=503)  # type: ignore[arg-type]
    path, out = recipe(), tmp_path / "photos"
    collected = foveal.collect(path, out, allow_private=True, verbose=False)
    assert "robots.txt: HTTP 503" in collected.notes[0]
    assert set(site.hits) == {"/robots.txt"}
    site.file("/robots.txt", b"", "text/plain", status=403)  # type: ignore[arg-type]
    assert foveal.collect(path, out, allow_private=True, verbose=False).kept == 1


def test_the_delay_of_robots_txt_is_kept(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=1, each=2)
    site.file("/robots.txt", b"User-agent: *\nCrawl-delay: 0.4\n", "text/plain")
    foveal.collect(recipe(), tmp_path / "photos", allow_private=True, verbose=False)
    times = sorted(at for path, at in site.times.items() if path != "/robots.txt" for at in at)
    # Half of it to one and a half.
    assert min(later - sooner for sooner, later in pairwise(times)) >= 0.19


@pytest.mark.parametrize("next", ["/phone/1", "/phone/2", "/phone/2#again", "javascript:next()"])
def test_pages_that_lead_back_end_the_class(
    site: Site, recipe: Write, tmp_path: Path, next: str
) -> None:
    site.listing("phone", pages=2, each=2)
    site.page("/phone/2", ["/phone/2-0.png", "/phone/2-1.png"], next)
    collected = foveal.collect(recipe(), tmp_path / "photos", allow_private=True, verbose=False)
    assert (collected.classes["phone"].pages, collected.kept) == (2, 4)
    assert ("an earlier page" in " ".join(collected.notes)) == next.startswith("/")


def test_a_site_whose_last_page_never_ends_is_noticed(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=2, each=2)
    for page in range(2, 30):
        site.page(f"/phone/{page}", ["/phone/2-0.png", "/phone/2-1.png"], f"/phone/{page + 1}")
    collected = foveal.collect(recipe(), tmp_path / "photos", allow_private=True, verbose=False)
    assert collected.kept == 4
    assert site.hits["/phone/4"] == 0
    assert "lists the same pictures as an earlier page" in collected.notes[0]


def test_limits_end_it_and_higher_ones_go_on(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=4, each=5)
    path, out = recipe(), tmp_path / "photos"

    def collect(*overrides: str) -> tuple[int, str]:
        got = foveal.collect(path, out, allow_private=True, overrides=overrides, verbose=False)
        return got.kept, " ".join((*got.notes, got.stopped or ""))

    assert collect("limits.pages=1") == (
        5,
        "phone: the limit of 1 pages was reached (limits.pages) ",
    )
    kept, said = collect("limits.pictures=8")
    assert kept == 8
    assert "limits.pictures" in said
    kept, said = collect("limits.bytes=9000")
    assert 8 <= kept < 14
    assert "limits.bytes" in said
    assert collect() == (20, "")


def test_the_limit_on_time_ends_it(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=1, each=3)
    options = {"limits": {"time": 0.5}, "delay": 60}
    collected = foveal.collect(
        recipe(**options), tmp_path / "photos", allow_private=True, verbose=False
    )
    assert collected.stopped == "the time limit was reached (limits.time)"
    assert (tmp_path / "photos" / "provenance.csv").is_file()


def test_hosts_are_asked_one_after_the_other(site: Site, recipe: Write, tmp_path: Path) -> None:
    site.listing("phone", pages=1, each=3)
    foveal.collect(recipe(delay=0.2), tmp_path / "photos", allow_private=True, verbose=False)
    times = sorted(at for found in site.times.values() for at in found)
    assert len(times) == 5
    # Four times half of the delay at least. Single gaps say less: a busy machine hears of one late.
    assert times[-1] - times[0] >= 0.36


def test_a_list_of_addresses_is_collected(site: Site, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    rows = [f"{site.address}/{i}.png,{'cat' if i % 2 else 'dog'},photo {i}" for i in range(4)]
    rows += ["ftp://x/a.png,cat,", f"{site.address}/gone.png,dog,"]
    table.write_text("\n".join(["url,class,title", *rows]) + "\n")
    for i in range(4):
        site.file(f"/{i}.png", picture(i))
    out = tmp_path / "photos"
    collected = foveal.collect(table, out, allow_private=True, overrides=["delay=0"], verbose=False)
    assert {name: count.kept for name, count in collected.classes.items()} == {"dog": 2, "cat": 2}
    assert collected.left == {"not an http or https address": 1, "HTTP 404": 1}
    assert {row["title"] for row in rows_of(out)} == {
        "photo 0",
        "photo 1",
        "photo 2",
        "photo 3",
        "",
    }


def test_pages_in_other_encodings_and_with_a_base_are_understood(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    page = (
        '<html><head><meta charset="shift_jis"><base href="/deep/er/"></head>'
        '<li class="ad"><h3>携帯電話</h3><img src="../写真 1.png?q=写"></li></html>'
    )
    site.file("/phone/1", page.encode("shift_jis"), "text/html")
    # The path in UTF-8, the query in the encoding of the page, as browsers do it.
    site.file("/deep/%E5%86%99%E7%9C%9F%201.png?q=%8E%CA", picture(1))
    out = tmp_path / "photos"
    foveal.collect(recipe(fields={"title": "h3"}), out, allow_private=True, verbose=False)
    assert rows_of(out)[0]["title"] == "携帯電話"
    assert rows_of(out)[0]["outcome"] == "kept"


def test_cells_that_spreadsheets_would_run_are_texts(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    page = '<li class="ad"><h3>=HYPERLINK("http://x")</h3><b>-5</b><img src="/a.png"></li>'
    site.file("/phone/1", page.encode(), "text/html")
    site.file("/a.png", picture(1))
    out = tmp_path / "photos"
    foveal.collect(
        recipe(fields={"title": "h3", "price": "b"}), out, allow_private=True, verbose=False
    )
    assert rows_of(out)[0]["title"] == """'=HYPERLINK("http://x")"""
    assert rows_of(out)[0]["price"] == "-5"
    lines = (out / ".foveal" / "collected.jsonl").read_text().splitlines()
    exact = [json.loads(line).get("fields", {}).get("title") for line in lines]
    assert '=HYPERLINK("http://x")' in exact


def test_it_works_within_the_event_loop_of_a_notebook(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=2)
    path = recipe()

    async def cell() -> int:
        return foveal.collect(path, tmp_path / "photos", allow_private=True, verbose=False).kept

    assert asyncio.run(cell()) == 2


def test_ctrl_c_keeps_what_is_there(
    site: Site, recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.listing("phone", pages=1, each=5)

    def interrupt(handler: Handler) -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
        site.release.wait()

    good, site.answers["/phone/1-3.png"] = site.answers["/phone/1-3.png"], interrupt
    path, out = str(recipe(connections=1)), tmp_path / "photos"
    assert run(["collect", path, "--out", str(out), "--allow-private"]) == 130
    assert "Not finished: it was interrupted" in capsys.readouterr().err
    assert [row["outcome"] for row in rows_of(out)] == ["kept"] * 3
    site.answers["/phone/1-3.png"] = good
    assert run(["collect", path, "--out", str(out), "--allow-private"]) == 0
    assert site.hits["/phone/1-0.png"] == 1
    assert "2 new, 5 in all" in capsys.readouterr().out


def test_an_interrupted_call_from_python_has_what_there_is(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    site.listing("phone", pages=1, each=1)

    class Interrupting:
        is_done = False

        def start(self, title: str, total: int | None) -> None: ...
        def finish(self) -> None: ...

        def update(self, done: int, fields: dict[str, str] | None = None) -> None:
            if site.hits["/phone/1-0.png"] and not self.is_done:
                self.is_done = True
                raise KeyboardInterrupt

    site.answers["/phone/1-0.png"] = lambda handler: site.release.wait() and None
    with pytest.raises(CollectingInterrupted) as caught:
        foveal.collect(recipe(), tmp_path / "photos", allow_private=True, progress=Interrupting())
    assert caught.value.collected.classes["phone"].pages == 1


def test_a_dry_run_shows_the_first_pages_and_writes_nothing(
    site: Site, recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.listing("phone", pages=2, each=2)
    path = str(recipe("phone", "laptop", fields={"title": "h3"}))
    before = sorted(tmp_path.rglob("*"))
    assert run(["collect", path, "--dry-run", "--allow-private", "-q"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert capsys.readouterr().out.splitlines() == [
        f"phone: {site.address}/phone/1",
        "  2 items, 2 pictures",
        f"  picture  {site.address}/phone/1-0.png",
        "    title: Ad 0",
        f"  picture  {site.address}/phone/1-1.png",
        "    title: Ad 1",
        f"  next     {site.address}/phone/2",
        f"laptop: {site.address}/laptop/1",
        "  not read: HTTP 404",
    ]
    assert run(["collect", path, "--dry-run", "--json", "-q"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["pages"][0]["problem"] == "private address"
    assert "None of the first pages could be read: private address." in captured.err
    assert "--dry-run --allow-private" in captured.err
    assert run(["collect", path, "--dry-run", "--allow-private", "--set", "item=p", "-q"]) == 3
    assert "No pictures were found on the first pages" in capsys.readouterr().err


def test_a_selector_that_cannot_be_evaluated_is_named(
    site: Site, recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.listing("phone", pages=1, each=1)
    path = str(recipe(picture="//img[largest(@src)]"))
    for more in (["--out", str(tmp_path / "photos")], ["--dry-run"]):
        assert run(["collect", path, "--allow-private", *more]) == 2
        assert "Invalid selector '//img[largest(@src)]'" in capsys.readouterr().err


def test_without_a_folder_nothing_is_collected(
    recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["collect", str(recipe())]) == 2
    assert "No folder was given to collect into." in capsys.readouterr().err


def test_a_folder_is_collected_into_by_one_process(
    site: Site, recipe: Write, tmp_path: Path
) -> None:
    with Journal(tmp_path / "photos"), pytest.raises(UsageError, match="Another process"):
        foveal.collect(recipe(), tmp_path / "photos", allow_private=True, verbose=False)


def test_a_full_disk_is_said_and_the_log_stays_whole(
    site: Site, recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.listing("phone", pages=1, each=30)
    path, out = recipe(), tmp_path / "photos"
    left = 12
    synced = os.fsync

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        foveal.collect(path, out, allow_private=True, verbose=False)
    monkeypatch.setattr(os, "fsync", synced)
    assert foveal.collect(path, out, allow_private=True, verbose=False).kept == 30
    assert len(list((out / "phone").iterdir())) == 30
