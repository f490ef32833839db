"""Folders and files behind fsspec URLs (`s3://`, `gs://`, `memory://`, …)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from foveal.errors import MissingExtraError, UsageError

_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "abfs": "adlfs"}


@final
@dataclass(frozen=True, slots=True)
class Remote:
    """What a URL names.

    Attributes:
        url: As it was given.
        files: A file system of fsspec.
        root: Path in it, without a slash at its end.
    """

    url: str
    files: Any
    root: str

    def path(self, *names: str) -> str:
        """Return the path in the file system of a name below."""
        return "/".join((self.root, *filter(None, names)))

    def parent(self) -> tuple[Remote, str]:
        """Return the folder that this is in, and its name there."""
        root, _, name = self.root.rpartition("/")
        return Remote(self.url.rstrip("/").rpartition("/")[0], self.files, root), name


def is_url(location: str | Path) -> bool:
    """Tell whether a location is behind a URL; `file://` names a path of this machine."""
    text = str(location)
    return "://" in text and not text.startswith("file://")


def local_path(location: str | Path) -> Path:
    """Return the path that a location without a URL names, `file://` and `~` resolved."""
    return Path(str(location).removeprefix("file://")).expanduser()


def open_url(url: str) -> Remote:
    """Return what a URL names, which need not be there yet.

    Raises:
        MissingExtraError: When the URL's kind needs a package that is not installed.
        UsageError: When the URL is of no known kind.
    """
    # Here, because only URLs need it and it costs a tenth of the start-up.
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(url.partition("://")[0])
        raise MissingExtraError(
            f"{url} needs a package that is not installed: {error}",
            hint=f"pip install {package}" if package else None,
        ) from error
    except ValueError as error:
        raise UsageError(f"Cannot open {url}: {error}") from error
    return Remote(url, files, root.rstrip("/"))
