"""An export format: the labels alone."""

from pathlib import Path

from foveal.bundle.bundle import Bundle
from foveal.export.formats import Format


def _write(bundle: Bundle, out: Path) -> None:
    out.write_text("\n".join(bundle.manifest.labels) + "\n", encoding="utf-8")


LABELS = Format("the labels, one a line", ".txt", _write)
