"""Our captchas a second on one core against a plain loop over the `captcha` package.

In turns in one process; the same size, length and alphabet. Also says, for information, how
fast the other kinds are drawn, and how fast captchas come from every core.

    python benchmarks/synth_rate.py
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import string
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version

import numpy as np
from captcha.image import ImageCaptcha

from foveal.errors import DataError
from foveal.machine import available_cores, over_cores
from foveal.synth import CAPTCHA, KINDS, Drawn, Kind
from outcome import Outcome, add_out, note, report

ALPHABET = string.digits + string.ascii_uppercase
LENGTH = 4
# Pages are larger by a factor of a hundred.
FEWER_PAGES = 8


def draw_all(kind: Kind, seed: int, count: int) -> Iterator[Drawn]:
    """Draw pictures over all cores, as `foveal synth` does, without writing them."""
    draw = partial(draw_batch, kind, seed)
    yield from over_cores(draw, range(count), batch=kind.batch, workers=0)


def draw_batch(kind: Kind, seed: int, indices: Sequence[int]) -> list[Drawn]:
    """Draw some pictures of a stream."""
    return [kind.draw(seed, index) for index in indices]


def main() -> None:
    """Time both in turns and report the ratios, then the other rates."""
    arguments = parse_arguments()
    painter = ImageCaptcha(170, 80)
    kind = CAPTCHA.prepared()
    # Once each beforehand: both load their fonts on first use.
    draw_plain(painter, 1)
    draw_ours(kind, 1)
    ours: list[float] = []
    plain: list[float] = []
    for turn in range(arguments.rounds):
        plain.append(rate(lambda: draw_plain(painter, arguments.pictures), arguments.pictures))
        ours.append(rate(lambda: draw_ours(kind, arguments.pictures), arguments.pictures))
        note(f"  turn {turn + 1}: package {plain[-1]:.0f}/s, ours {ours[-1]:.0f}/s")
    report(
        Outcome(
            claim="synth_rate",
            what="captchas a second on one core, relative to a loop over the captcha package",
            unit="ratio",
            values=tuple(a / b for a, b in zip(ours, plain, strict=True)),
            target=1.0,
            judged_by="median",
            detail={
                "pictures": arguments.pictures,
                "median_per_s": {
                    "ours": statistics.median(ours),
                    "package": statistics.median(plain),
                },
                "ours_per_s": ours,
                "package_per_s": plain,
                "all_cores_per_s": all_cores(kind, arguments.pictures * available_cores()),
                "kinds_per_s": other_kinds(arguments.pictures),
                "captcha": version("captcha"),
            },
        ),
        arguments.out,
    )


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--pictures", type=int, default=400, help="in one turn")
    made.add_argument("--rounds", type=int, default=9)
    return made.parse_args()


def draw_plain(painter: ImageCaptcha, count: int) -> None:
    """Draw as the package's own pages show it, up to the array that a network takes."""
    for _ in range(count):
        text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        np.array(painter.generate_image(text))


def draw_ours(kind: Kind, count: int) -> None:
    """Draw the first pictures of a stream in this process."""
    for index in range(count):
        kind.draw(0, index)


def rate(work: Callable[[], None], count: int) -> float:
    """Return how many pictures a second of processor time some work makes.

    Processor time and not the clock's: another program on the machine takes from the one turn
    and not from the other.
    """
    start = time.process_time()
    work()
    return count / (time.process_time() - start)


def all_cores(kind: Kind, count: int) -> float:
    """Return captchas a second by the clock over all cores, once their processes run."""
    for _ in draw_all(kind, 1, 2 * available_cores() * kind.batch):
        pass
    start = time.perf_counter()
    for _ in draw_all(kind, 2, count):
        pass
    return count / (time.perf_counter() - start)


def other_kinds(count: int) -> dict[str, float]:
    """Return the rates of the other kinds that this machine has fonts for."""
    rates = {}
    for name in KINDS:
        try:
            kind = KINDS[name].prepared()
        except DataError as error:
            note(f"  {name}: {error.message}")
            continue
        wanted = max(1, count // FEWER_PAGES) if kind.batch < CAPTCHA.batch else count
        # The glyphs that a process draws once are drawn here.
        draw_ours(kind, wanted)
        rates[name] = rate(lambda kind=kind, wanted=wanted: draw_ours(kind, wanted), wanted)
    return rates


if __name__ == "__main__":
    main()
