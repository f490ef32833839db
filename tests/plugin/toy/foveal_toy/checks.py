"""A check of the task `count`."""

from collections.abc import Iterator

from foveal.checks.base import Check, CheckInput
from foveal.types import Finding

_MOST = 3


def _crowded(facts: CheckInput) -> Iterator[Finding]:
    """Pictures with many dots are hard to count."""
    many = [s.id for s in facts.samples if s.raw and s.raw[0].isdecimal() and int(s.raw[0]) > _MOST]
    if many:
        message = f"{len(many)} pictures hold more than {_MOST} dots."
        yield Finding("toy.crowded", "info", message, tuple(many[:20]), len(many))


CROWDED = Check(_crowded, tasks=("count",))
