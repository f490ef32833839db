"""An export format: the labels alone."""

from pathlib import Path

from foveal.export.formats import Format
from foveal.export.job import ExportJob


def _write(job: ExportJob, out: Path) -> None:
    out.write_text("\n".join(job.bundle.manifest.labels) + "\n", encoding="utf-8")


LABELS = Format("the labels, one a line", ".txt", _write)
