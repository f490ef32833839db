"""The report of a check, and the file that stores it for `review` and `clean`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, final

from foveal.atomic import write_atomic
from foveal.checks.page import render_inline, render_page
from foveal.data.findings import plural
from foveal.data.source import Source, TargetKind
from foveal.destination import check_file, writing
from foveal.errors import DataError
from foveal.types import Finding, JsonObject, Suspect

_VERSION = 1


@final
@dataclass(frozen=True, repr=False)
class CheckReport:
    """The report of `foveal.check`.

    Attributes:
        location: Location of the data.
        layout: Layout of the data, in words.
        samples: Number of pictures.
        target: Kind of label.
        balance: Label, or length of the text → part → number of pictures.
        characters: The distinct characters of the texts; empty for other labels.
        findings: Findings, most severe first.
        settings: Settings given for reading the data: dotted key of the recipe → value.
        features: Whether features of a network were computed for the checks.
        predictions: File with the predictions that labels were checked by, or "".
        stamp: Stamp of the data from `foveal.data.stamp.stamp_of`, or "".
        source: The data, from which pictures are shown; not saved.
    """

    location: str
    layout: str
    samples: int
    target: TargetKind
    balance: dict[str, dict[str, int]]
    characters: str
    findings: tuple[Finding, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    features: bool = False
    predictions: str = ""
    stamp: str = ""
    source: Source | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Return a summary in one line."""
        return (
            f"CheckReport({self.location}: {plural(self.samples, 'picture')}, "
            f"{plural(len(self.findings), 'finding')})"
        )

    def to_json(self) -> JsonObject:
        """Return the output of `check --json`, with all suspects."""
        return {
            "schema_version": _VERSION,
            "data": self.location,
            "layout": self.layout,
            "samples": self.samples,
            "target": self.target,
            "balance": self.balance,
            "characters": self.characters,
            "findings": [
                {**f.to_json(), "suspects": [suspect.to_json() for suspect in f.suspects]}
                for f in self.findings
            ],
            "settings": self.settings,
            "features": self.features,
            "predictions": self.predictions,
            "stamp": self.stamp,
        }

    def write(self, path: str | Path) -> None:
        """Write the report as a self-contained HTML page.

        Raises:
            UsageError: If the file cannot be written.
        """
        target = Path(path)
        check_file(target)
        page = render_page(self)
        with writing(target):
            write_atomic(target, page)

    def _repr_html_(self) -> str:
        return render_inline(self)

    def save(self, path: Path) -> None:
        """Write the report as JSON; an existing file is replaced."""
        # In ASCII: names of files need not be valid Unicode.
        write_atomic(path, json.dumps(self.to_json()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a report that `save` wrote.

        Raises:
            DataError: If the file is not a report.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if value["schema_version"] != _VERSION:
                raise ValueError(f"schema_version is {value['schema_version']}")
            return cls(
                location=value["data"],
                layout=value["layout"],
                samples=value["samples"],
                target=value["target"],
                balance=value["balance"],
                characters=value["characters"],
                findings=tuple(map(_finding, value["findings"])),
                settings=value["settings"],
                features=value["features"],
                # Reports of older versions do not have it.
                predictions=value.get("predictions", ""),
                stamp=value["stamp"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is not a report of foveal check: {error}.", hint="foveal check DATA"
            ) from error


def _finding(value: dict[str, Any]) -> Finding:
    return Finding(
        id=value["id"],
        severity=value["severity"],
        message=value["message"],
        samples=tuple(value["samples"]),
        count=value["count"],
        hint=value["hint"],
        method=value["method"],
        suspects=tuple(map(Suspect.from_json, value["suspects"])),
    )
