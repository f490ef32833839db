"""The pieces that charts are drawn with, as SVG text in the page's colours."""

from __future__ import annotations

from html import escape

ACCENT = "var(--accent, #2563eb)"
FONT = 12
# Mean width of a character, in sizes of the font.
ADVANCE = 0.56
# Inline, because notebooks have no style sheet of ours.
ROOT_STYLE = "max-width:100%;height:auto;font-family:inherit"


def rule(x0: float, y0: float, x1: float, y1: float) -> str:
    """Return a thin line."""
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="currentColor" '
        'opacity=".12"/>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", muted: bool = False) -> str:
    """Return words whose middle line is at y."""
    opacity = ' opacity=".65"' if muted else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" dy=".36em" text-anchor="{anchor}" font-size="{FONT}" '
        f'fill="currentColor"{opacity}>{escape(words)}</text>'
    )


def shortened(label: str, most: int) -> str:
    """Return a label of at most `most` characters."""
    return label if len(label) <= most else label[: most - 1] + "…"


def svg(width: float, height: float, content: str) -> str:
    """Return a drawing of that size, in pixels."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        f'style="{ROOT_STYLE}">{content}</svg>'
    )
