"""Optional packages, imported on first use, and how their extras are installed."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from foveal.errors import MissingExtraError


def import_extra(module: str, extra: str, need: str) -> Any:
    """Return an optional module.

    Args:
        module: Its name.
        extra: The extra of foveal that installs it.
        need: What needs which package, such as `Pre-processing pages needs OpenCV`.

    Raises:
        MissingExtraError: If it, or a package that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{need}, which is not installed.", hint=install_extra(extra)
        ) from error


def install_extra(extra: str) -> str:
    """Return the command that adds an extra to this installation of foveal.

    A checkout is named by its folder: the package of the index is another one, or none.
    """
    folder, is_editable = _checkout()
    if folder is None:
        return f"pip install 'foveal[{extra}]'"
    option = "-e " if is_editable else ""
    return f"pip install {option}'{folder}[{extra}]'"


def _checkout() -> tuple[Path | None, bool]:
    """Return the folder that foveal was installed from, if any, and whether it runs from there."""
    # Imported late: asked for only where something is missing.
    from importlib import metadata

    source = Path(__file__).resolve().parents[2]
    if (source / "pyproject.toml").is_file():
        return source, True
    try:
        text = metadata.distribution("foveal").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None, False
    installed = json.loads(text) if text else {}
    if "dir_info" not in installed:
        return None, False
    folder = Path(unquote(urlparse(installed["url"]).path))
    return (folder, False) if folder.is_dir() else (None, False)
