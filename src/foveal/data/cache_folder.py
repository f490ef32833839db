"""A folder of decoded pictures that is whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foveal.atomic import atomic_path
from foveal.errors import DataError
from foveal.pipeline import Pipeline

_HEADER = "header.json"


@contextmanager
def whole_folder(directory: Path, pipeline: Pipeline, layout: str) -> Iterator[Path]:
    """Give a folder to write into, which takes its place when all was written.

    Args:
        directory: The place; what is there is replaced.
        pipeline: Written into the header.
        layout: Name and version of the files' layout; another one is not opened.
    """
    with atomic_path(directory) as temporary:
        temporary.mkdir(parents=True)
        yield temporary
        header = {"layout": layout, "pipeline": pipeline.to_json()}
        (temporary / _HEADER).write_text(json.dumps(header), encoding="utf-8")


def is_whole(directory: Path, layout: str) -> bool:
    """Tell whether a folder was written to its end, in this layout."""
    try:
        header = json.loads((directory / _HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(header, dict) and header.get("layout") == layout


def read_pipeline(directory: Path, layout: str) -> Pipeline:
    """Return the pipeline of a whole folder.

    Raises:
        DataError: When it is not whole.
    """
    if not is_whole(directory, layout):
        raise DataError(f"There is no complete cache in {directory}.")
    header = json.loads((directory / _HEADER).read_text(encoding="utf-8"))
    return Pipeline.from_json(header["pipeline"])
