"""Killed at any instant, a collection goes on: nothing lost, nothing there twice."""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from website import Site, picture

import foveal
from foveal.collect.journal import Journal
from foveal.errors import DataError

CODE = """
import sys, foveal
foveal.collect(sys.argv[1], sys.argv[2], allow_private=True, verbose=False)
"""
KILLS = 3
PAGES, EACH = 8, 10


def recorded(out: Path) -> set[str]:
    """Return the addresses in the whole lines of the log."""
    log = out / ".foveal" / "collected.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return {json.loads(line)["address"] for line in lines}


@pytest.mark.slow
def test_nothing_is_lost_or_fetched_twice_over_kills(
    site: Site, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    site.listing("phone", pages=PAGES, each=EACH)
    path, out = recipe(connections=4), tmp_path / "photos"
    rng = random.Random(1)
    total = PAGES * EACH
    thresholds = sorted(rng.sample(range(3, total), KILLS))
    done_at: dict[str, int] = {}
    for threshold in [*thresholds, None]:
        with subprocess.Popen([sys.executable, "-c", CODE, str(path), str(out)]) as child:
            while threshold is not None and sum(site.hits.values()) < threshold:
                assert child.poll() is None
            if threshold is not None:
                child.kill()
        # What the log has now is never asked for again.
        for address in recorded(out):
            done_at.setdefault(address, site.hits[address.removeprefix(site.address)])
    pictures = {f"/phone/{p}-{i}.png" for p in range(1, PAGES + 1) for i in range(EACH)}
    assert {a.removeprefix(site.address) for a in done_at} >= pictures
    later = {a: site.hits[a.removeprefix(site.address)] for a in done_at}
    assert {a: n for a, n in later.items() if n != done_at[a] and a != site.address} == {}
    # Only what was under way at a kill was asked for again.
    assert sum(n - 1 for n in site.hits.values()) <= KILLS * 5
    files = Counter(file.read_bytes() for file in (out / "phone").iterdir())
    assert files == Counter(picture(p * 1000 + i) for p in range(1, PAGES + 1) for i in range(EACH))
    with (out / "provenance.csv").open() as table:
        assert sum(1 for _ in table) == 1 + total


def test_what_a_kill_left_between_two_steps_is_put_right(tmp_path: Path) -> None:
    record = {
        "kind": "picture",
        "class": "phone",
        "address": "http://x/a.png",
        "page": "",
        "time": "2026-01-01T00:00:00+00:00",
        "fields": {},
        "outcome": "kept",
        "sha256": "a" * 64,
        "file": f"phone/{'a' * 32}.png",
    }
    with Journal(tmp_path) as journal:
        journal.commit([(record, b"whole")])
    named, half = tmp_path / record["file"], tmp_path / "phone" / f".tmp-{'b' * 32}.png"
    foreign = tmp_path / "phone" / ".tmp-notes.txt"
    foreign.write_text("of another program")
    # Killed before the file had its name, and another before its line was there.
    named.rename(tmp_path / "phone" / f".tmp-{'a' * 32}.png")
    half.write_bytes(b"ha")
    with (tmp_path / ".foveal" / "collected.jsonl").open("ab") as log:
        log.write(b'{"kind": "pict')
    with Journal(tmp_path) as journal:
        assert journal.known.is_done("phone", "http://x/a.png")
        journal.commit([({**record, "address": "http://x/b.png"}, None)])
    assert named.read_bytes() == b"whole"
    assert not half.exists()
    assert foreign.exists()
    with Journal(tmp_path) as journal:
        assert len(journal.known.pictures) == 2


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.path.write_text('{"kind": "picture"}\n')
    with pytest.raises(DataError, match=r"collected\.jsonl, line 1, is not a record"):
        Journal(tmp_path)
    table = tmp_path / "list.csv"
    table.write_text("address,label\nhttp://127.0.0.1/a.png,cat\n")
    with pytest.raises(DataError, match="line 1"):
        foveal.collect(table, tmp_path, verbose=False)
