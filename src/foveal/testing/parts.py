"""Contract tests of checks, kinds of drawn pictures and export formats."""

from __future__ import annotations

import json
import pickle
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np

from foveal.checks import CHECKS, CheckInput
from foveal.data.scan import Scan
from foveal.data.source import Sample, TargetKind
from foveal.export.formats import FORMATS, write_as
from foveal.export.job import ExportJob
from foveal.model import Model
from foveal.synth import KINDS
from foveal.tasks import TASKS
from foveal.testing.expect import expect
from foveal.types import Severity


def check_check(id: str) -> None:
    """Check the docstring of a check, and that it handles good, bad and no samples.

    Args:
        id: Id under which it is registered.

    Raises:
        AssertionError: If the contract is violated; the message says how.
    """
    check = CHECKS[id]
    expect(check.run.__doc__, "the docstring says what is looked for")
    expect(set(check.tasks or ()) <= set(TASKS), f"it is for tasks that there are: {check.tasks}")
    expect(list(check.run(_facts(0, "labels"))) == [], "of no samples there is nothing to find")
    kinds: tuple[TargetKind, ...] = get_args(TargetKind)
    for target in kinds:
        found = list(check.run(_facts(12, target)))
        again = list(check.run(_facts(12, target)))
        expect(found == again, "the same samples have the same findings")
        for finding in found:
            group = id.partition(".")[0]
            expect(finding.id.partition(".")[0] == group, f"{finding.id!r} begins with {group!r}")
            expect(finding.severity in get_args(Severity), f"{finding.severity!r} is a severity")
            expect(finding.message, "a finding says what was found")
            json.dumps(finding.to_json(), allow_nan=False)
            doubts = [suspect.score for suspect in finding.suspects]
            expect(all(0 <= doubt <= 1 for doubt in doubts), "a doubt is in [0, 1]")
            expect(doubts == sorted(doubts, reverse=True), "the most doubted come first")


def _facts(count: int, target: TargetKind) -> CheckInput:
    """Return an input in which every third picture is unreadable and every fourth unlabelled."""
    rng = np.random.default_rng(0)
    scan = Scan.empty(count)
    scan.ok[:] = np.arange(count) % 3 > 0
    scan.sizes[:] = 32
    scan.spread[:] = 50
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape)
    scan.phash[:] = rng.integers(0, 1 << 63, count)
    scan.errors.update({i: ("image_unreadable", "cut short") for i in range(0, count, 3)})
    raws = [None if i % 4 == 3 else (("ab", "b")[i % 2],) for i in range(count)]
    samples = tuple(Sample(f"{i}.png", raw) for i, raw in enumerate(raws))
    return CheckInput(samples, scan, (np.arange(count) % 2).astype(np.int8), 2, target)


def check_synth(kind: str) -> None:
    """Check that a kind draws its targets, reproducibly in any order and process.

    Args:
        kind: Name of the kind.

    Raises:
        AssertionError: If the contract is violated; the message says how.
        DataError: If this machine lacks the fonts.
    """
    plain = KINDS[kind]
    expect(plain.name == kind, f"a kind is registered under its own name, not {plain.name!r}")
    expect(plain.task in TASKS, f"{plain.task!r} is a task")
    expect(plain.description and plain.batch > 0, "it says what it draws, and how many at a time")
    characters = plain.alphabet
    expect(list(characters) == sorted(set(characters)), "the alphabet is sorted, each once")
    used = {character for index in range(200) for character in plain.target(0, index)[0]}
    expect(used <= set(characters), f"targets keep to the alphabet, but not {used}")
    prepared = plain.prepared()
    first = prepared.draw(3, 4)
    prepared.draw(3, 5)
    elsewhere = pickle.loads(pickle.dumps(prepared))  # noqa: S301  # made in this line
    again = elsewhere.draw(3, 4)
    is_same = again.raw == first.raw and np.array_equal(again.pixels, first.pixels)
    expect(is_same, "a picture follows from seed and index alone, in every process")
    expect(first.raw == plain.target(3, 4), "a target is known without drawing")
    is_rgb = first.pixels.dtype == np.uint8 and first.pixels.shape[2:] == (3,)
    expect(is_rgb, "pictures are (H, W, 3) uint8")
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    drawn = {prepared.draw(seed, index).pixels.tobytes() for seed, index in places}
    expect(len(drawn) == len(places), "no two pictures of a stream are the same")


def check_export(name: str, model: str | Path | Model) -> None:
    """Check that a format writes one file or folder, reproducibly, and nothing else.

    Args:
        name: Name of the format.
        model: Any model that it can export.

    Raises:
        AssertionError: If the contract is violated; the message says how.
    """
    entry = FORMATS[name]
    expect(entry.summary and "\n" not in entry.summary, "it says in a line what it is")
    expect(entry.suffix.startswith("."), f"{entry.suffix!r} begins with a dot")
    bundle = (model if isinstance(model, Model) else Model(model)).bundle
    with tempfile.TemporaryDirectory() as folder:
        written = [Path(folder, key + entry.suffix) for key in "ab"]
        for path in written:
            write_as(ExportJob(bundle), name, path)
        expect(
            sorted(Path(folder).iterdir()) == written, "it writes what it is given, nothing beside"
        )
        kind = "folder" if entry.is_folder else "file"
        expect(written[0].is_dir() == entry.is_folder, f"it writes a {kind}, as it says")
        first, second = map(_contents, written)
    expect(any(first.values()), "it writes something")
    expect(first == second, "the same model gives the same bytes")


def _contents(root: Path) -> dict[str, bytes]:
    files = [path for path in (root, *root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
