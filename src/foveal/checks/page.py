"""Render the report of a check as a self-contained page and in a notebook."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Protocol, final

import jinja2
import numpy as np
import simplejpeg
from markupsafe import Markup

from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.findings import plural
from foveal.data.source import Sample, Source
from foveal.errors import FovealError
from foveal.render import encode_png, thumbnail
from foveal.types import SPLIT_NAMES, Finding, Suspect

SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
_PNG_START = b"\x89PNG"
# Pictures of each finding, on the page and in a notebook.
_SHOWN, _SHOWN_INLINE = 24, 8
# Twice the width at which they are shown.
_SIDE, _SIDE_INLINE = 300, 120
# Ink and small pictures stay as they are: JPEG would blur their pixels, which are shown enlarged.
_LOSSLESS_PIXELS = 128 * 128
_QUALITY = 80


class Reported(Protocol):
    """The part of `foveal.checks.report.CheckReport` that is rendered."""

    @property
    def location(self) -> str: ...  # noqa: D102
    @property
    def layout(self) -> str: ...  # noqa: D102
    @property
    def samples(self) -> int: ...  # noqa: D102
    @property
    def balance(self) -> Mapping[str, Mapping[str, int]]: ...  # noqa: D102
    @property
    def findings(self) -> tuple[Finding, ...]: ...  # noqa: D102
    @property
    def source(self) -> Source | None: ...  # noqa: D102


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of a finding, as shown on the page.

    Attributes:
        sample: Id of the sample.
        image: Thumbnail, PNG or JPEG.
        label: Label in words; "" for none.
        suggested: Suggested label, or None.
        beside: Thumbnail of a similar picture, or None.
        beside_sample: Id of that picture.
        beside_label: Label of that picture, if it differs.
        more: Number of further similar pictures.
    """

    sample: str
    image: bytes
    label: str
    suggested: str | None = None
    beside: bytes | None = None
    beside_sample: str = ""
    beside_label: str = ""
    more: int = 0


def render_page(report: Reported) -> str:
    """Return the report of a check as an HTML document."""
    pictures = _Pictures(report.source, _SIDE)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = _data_uri
    template = (files("foveal.checks") / "templates" / "check.html.j2").read_text(encoding="utf-8")
    style = (files("foveal.render") / "report.css").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        report=report,
        style=Markup(style),  # noqa: S704 - ours
        findings=[(f, pictures.of(f, _SHOWN)) for f in report.findings],
        severity=SEVERITIES,
        tally=_tally(report.findings),
        sides=[s for s in SPLIT_NAMES if any(s in counts for counts in report.balance.values())],
        rest=_rest,
        b_png=_PNG_START,
    )


def render_inline(report: Reported) -> str:
    """Return the report of a check as HTML for a notebook, without style sheet and script."""
    pictures = _Pictures(report.source, _SIDE_INLINE)
    parts = [
        f"<strong>{escape(report.location)}</strong>: {escape(report.layout)}. "
        f"{escape(_tally(report.findings))}"
    ]
    for finding in report.findings:
        method = f' title="{escape(finding.method)}"' if finding.method else ""
        parts.append(
            f'<div style="margin-top:10px"{method}><b>{SEVERITIES[finding.severity]}</b> '
            f"{escape(finding.message)} <code>{escape(finding.id)}</code></div>"
        )
        if shown := pictures.of(finding, _SHOWN_INLINE):
            parts.append('<div style="display:flex;flex-wrap:wrap;gap:8px">')
            parts += [_inline(picture) for picture in shown]
            parts.append("</div>")
    return "".join(parts)


def _inline(picture: Shown) -> str:
    pair = [(picture.image, picture.sample), (picture.beside, picture.beside_sample)]
    images = "".join(
        f'<img alt="{escape(sample)}" src="{_data_uri(image)}" height="96" '
        'style="border-radius:4px;max-width:200px;object-fit:contain">'
        for image, sample in pair
        if image is not None
    )
    words = picture.label
    if picture.suggested:
        words += f", looks like {picture.suggested}"
    return (
        f'<figure style="margin:0" title="{escape(picture.sample)}">{images}'
        f'<figcaption style="font-size:12px">{escape(words)}</figcaption></figure>'
    )


@final
class _Pictures:
    """Thumbnails of the pictures of a source, each created once; none without a source."""

    def __init__(self, source: Source | None, side: int) -> None:
        self._source, self._side = source, side
        samples = source.samples if source is not None else ()
        self._samples: dict[str, Sample] = {sample.id: sample for sample in samples}
        self._thumbnail = lru_cache(maxsize=None)(self._made)

    def of(self, finding: Finding, most: int) -> list[Shown]:
        """Return the first displayable pictures of a finding."""
        suspects: Sequence[Suspect] = finding.suspects or [Suspect(s, 1.0) for s in finding.samples]
        shown: list[Shown] = []
        said: set[str] = set()
        for suspect in suspects:
            if len(shown) == most:
                break
            # The other half of a pair that was shown already.
            if suspect.sample in said:
                continue
            if (picture := self._shown(suspect)) is not None:
                shown.append(picture)
                said.update((suspect.sample, *suspect.like))
        return shown

    def _shown(self, suspect: Suspect) -> Shown | None:
        image = self._thumbnail(suspect.sample)
        if image is None:
            return None
        label = self._label(suspect.sample)
        beside_sample = suspect.like[0] if suspect.like else ""
        beside = self._thumbnail(beside_sample) if beside_sample else None
        beside_label = self._label(beside_sample) if beside else ""
        return Shown(
            sample=suspect.sample,
            image=image,
            label=label,
            suggested=suspect.label,
            beside=beside,
            beside_sample=beside_sample if beside else "",
            beside_label=beside_label if beside_label != label else "",
            more=max(0, len(suspect.like) - 1),
        )

    def _label(self, id: str) -> str:
        sample = self._samples.get(id)
        return ", ".join(sample.raw) if sample is not None and sample.raw else ""

    def _made(self, id: str) -> bytes | None:
        sample = self._samples.get(id)
        if sample is None or self._source is None:
            return None
        try:
            half = self._side // 2
            pixels = self._source.load(sample, DEFAULT_LIMITS, (half, half)).picture.pixels
        except FovealError:
            # Findings about unreadable pictures name them.
            return None
        if max(pixels.shape[:2]) > self._side:
            pixels = thumbnail(pixels, self._side)
        if pixels.shape[0] * pixels.shape[1] <= _LOSSLESS_PIXELS:
            return encode_png(pixels)
        encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=_QUALITY)
        return encoded


def _data_uri(image: bytes) -> str:
    kind = "png" if image.startswith(_PNG_START) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _tally(findings: Sequence[Finding]) -> str:
    counts = [
        plural(sum(finding.severity == severity for finding in findings), word.lower())
        for severity, word in SEVERITIES.items()
        if any(finding.severity == severity for finding in findings)
    ]
    return f"{', '.join(counts)}." if counts else "No problems found."


def _rest(finding: Finding, shown: Sequence[Shown]) -> str:
    """Return the line below the pictures of a finding; empty if all are shown."""
    named = len({suspect.sample for suspect in finding.suspects}) or len(finding.samples)
    visible = {id for picture in shown for id in (picture.sample, picture.beside_sample) if id}
    if shown and named > len(visible):
        return f"{len(visible):,} of {named:,}. foveal review shows all of them."
    if not shown and finding.samples:
        more = finding.count - len(finding.samples)
        return ", ".join(finding.samples) + (f" and {more:,} more" if more > 0 else "")
    return ""
