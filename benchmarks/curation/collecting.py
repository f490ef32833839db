"""Collect 10,000 local pictures: nothing lost or doubled over 20 kills, and how fast.

    python benchmarks/curation/collecting.py [--part kills|rate]

The rate is compared with a bare loop: httpx.AsyncClient with as many requests open at once, which
fetches the same pictures and writes them to files, without looking at them, without a log and
without waiting for the disk. Both take turns; the server runs in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

import foveal
from outcome import Outcome, add_out, note, report

SITE = Path(__file__).with_name("picture_site.py")
CONNECTIONS = 16


@contextlib.contextmanager
def serving(count: int) -> Iterator[str]:
    """Run the server and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, str(SITE), str(port), str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as server:
        server.stdout.readline()  # type: ignore[union-attr]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def hits(address: str) -> Counter[str]:
    """Return path → how often it was asked for."""
    with urllib.request.urlopen(f"{address}/hits") as answer:  # noqa: S310  # Our own server.
        return Counter(json.load(answer))


def write_recipe(folder: Path, address: str) -> Path:
    """Write the recipe of the site."""
    path = folder / "recipe.yaml"
    limits = "{pages: 10000, pictures: 1000000, time: 10h, bytes: 100GB}"
    path.write_text(
        f"classes: {{ad: {address}/list/0}}\nitem: li.ad\nnext: a.next\n"
        f"delay: 0\nconnections: {CONNECTIONS}\nlimits: {limits}\n"
    )
    return path


def with_kills(count: int, kills: int, folder: Path) -> Outcome:
    """Kill a collection at random instants, and count what there is at the end."""
    rng = random.Random(0)  # noqa: S311
    code = "import sys, foveal; foveal.collect(*sys.argv[1:], allow_private=True, verbose=False)"
    out = folder / "killed"
    with serving(count) as address:
        recipe = write_recipe(folder, address)
        words = [sys.executable, "-c", code, str(recipe), str(out)]
        done: dict[str, int] = {}
        for at in [*sorted(rng.sample(range(1, count), kills)), None]:
            with subprocess.Popen(words) as child:
                while at is not None and child.poll() is None:
                    if hits(address).total() >= at:
                        # Between two steps of its work, wherever that is.
                        time.sleep(rng.uniform(0, 0.02))
                        break
                if at is not None:
                    child.kill()
            asked = hits(address)
            log = (out / ".foveal" / "collected.jsonl").read_bytes()
            for line in log.split(b"\n")[:-1]:
                path = json.loads(line)["address"].removeprefix(address) or "/robots.txt"
                done.setdefault(path, asked[path])
        asked = hits(address)
    files = list((out / "ad").iterdir())
    contents = Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    rows = (out / "provenance.csv").read_text().count("\n") - 1
    again = sum(asked[path] - n for path, n in done.items())
    return Outcome(
        claim="collect_kills",
        what=f"pictures lost, doubled or fetched again although the log had them, of {count:,} "
        f"local ones over {kills} kills",
        unit="pictures",
        values=(float(count - len(contents) + len(files) - len(contents) + again),),
        target=0.0,
        better="low",
        detail={
            "files": len(files),
            "different": len(contents),
            "rows": rows,
            "asked_again_although_in_log": again,
            "asked_again_as_under_way_at_a_kill": sum(n - 1 for n in asked.values()),
            "requests": asked.total(),
            "temporary_files_left": sum(file.name.startswith(".") for file in files),
        },
    )


def bare(address: str, count: int, out: Path) -> float:
    """Fetch all pictures with httpx, and return the seconds."""
    out.mkdir()

    async def work() -> None:
        paths = iter(range(count))
        limits = httpx.Limits(max_connections=CONNECTIONS)

        async def worker(client: httpx.AsyncClient) -> None:
            for i in paths:
                answer = await client.get(f"{address}/p/{i}.jpg")
                answer.raise_for_status()
                (out / f"{i}.jpg").write_bytes(answer.content)

        async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
            await asyncio.gather(*(worker(client) for _ in range(CONNECTIONS)))

    began = time.perf_counter()
    asyncio.run(work())
    return time.perf_counter() - began


def collected(recipe: Path, out: Path) -> float:
    """Collect all pictures, and return the seconds."""
    began = time.perf_counter()
    foveal.collect(recipe, out, allow_private=True, verbose=False)
    return time.perf_counter() - began


def rates(count: int, rounds: int, folder: Path) -> Outcome:
    """Fetch the same pictures in turns, and compare the rates."""
    plain, ours = [], []
    with serving(count) as address:
        recipe = write_recipe(folder, address)
        for turn in range(rounds):
            plain.append(count / bare(address, count, folder / f"bare{turn}"))
            ours.append(count / collected(recipe, folder / f"ours{turn}"))
            note(f"  turn {turn + 1}: bare {plain[-1]:.0f}/s, ours {ours[-1]:.0f}/s")
            shutil.rmtree(folder / f"bare{turn}")
            shutil.rmtree(folder / f"ours{turn}")
    return Outcome(
        claim="collect_rate",
        what=f"pictures a second that foveal collect keeps of {count:,} local ones, "
        "relative to a bare asynchronous loop of httpx that writes the files",
        unit="ratio",
        values=tuple(a / b for a, b in zip(ours, plain, strict=True)),
        target=None,
        judged_by="median",
        detail={"ours_per_s": ours, "bare_per_s": plain, "httpx": httpx.__version__},
    )


def main() -> None:
    """Run both parts, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("kills", "rate"))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    add_out(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if arguments.part != "rate":
            report(with_kills(arguments.count, arguments.kills, Path(name)), arguments.out)
        if arguments.part != "kills":
            report(rates(arguments.count, arguments.rounds, Path(name)), arguments.out)


if __name__ == "__main__":
    main()
