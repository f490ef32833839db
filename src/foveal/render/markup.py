"""HTML that is safe inside any notebook: everything escaped, no script, no style sheet."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from foveal.render import encode_png
from foveal.types import Image

_PAGE = (
    ":root{color-scheme:light dark;--accent:#2857c9;--good:#0b7a55;--bad:#c8321f;--second:#c77a12;"
    "--third:#7a4fc0}@media (prefers-color-scheme:dark){:root{--accent:#6f9bff;--good:#4cc38f;"
    "--bad:#f0705c;--second:#eeb154;--third:#b794f4}}body{font:15px/1.5 system-ui,sans-serif;"
    "max-width:1120px;margin:40px auto;padding:0 20px}h2{margin:32px 0 8px}"
    "figure{margin:0;max-width:100%}figcaption{font-weight:600}"
)
_CELL = "text-align:left;padding:3px 14px 3px 0;border-bottom:1px solid #8884"


def image_html(image: Image, *, alternative: str, width_px: int) -> str:
    """Return an `img` element that carries its picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        alternative: What the picture shows, for those who do not see it.
        width_px: Width on the page.
    """
    data = base64.b64encode(encode_png(image)).decode("ascii")
    return (
        f'<img alt="{escape(alternative)}" width="{width_px}" '
        f'style="border-radius:6px;max-width:100%" src="data:image/png;base64,{data}">'
    )


def table_html(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a plain table of texts."""
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def page_html(title: str, body: str) -> str:
    """Return a whole page, for light and dark screens.

    Args:
        title: Plain text.
        body: HTML below the heading.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_PAGE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def side_by_side(parts: Iterable[str]) -> str:
    """Return blocks side by side, wrapping where the page is narrow."""
    blocks = "".join(f"<div>{part}</div>" for part in parts)
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:20px;align-items:flex-start">{blocks}</div>'
    )
