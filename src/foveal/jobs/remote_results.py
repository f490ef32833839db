"""Results that a job left behind a URL."""

from __future__ import annotations

from pathlib import Path

from foveal.errors import FovealError, UsageError
from foveal.urls import open_url


def fetched(url: str, folder: Path, job: str) -> None:
    """Copy everything below a URL to a folder, which is made here.

    Args:
        url: Where the job put its results.
        folder: Where they go.
        job: Whose they are, for messages.

    Raises:
        UsageError: When nothing is there.
        FovealError: When it cannot be read.
    """
    remote = open_url(url)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        names = [path for path in remote.files.find(remote.root)]
        for path in names:
            target = folder / path.removeprefix(remote.root).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            remote.files.get_file(path, str(target))
    except FileNotFoundError:
        names = []
    except Exception as error:  # The clients of object stores share no base class of errors.
        raise FovealError(f"The results of {job} cannot be read from {url}: {error}") from error
    if not names:
        raise UsageError(
            f"Nothing came of the job {job} yet: {url} is empty.",
            hint=f"foveal jobs logs {job} -f",
        )


def uploaded(file: Path, url: str) -> None:
    """Put a file behind a URL.

    Raises:
        FovealError: When it cannot be written.
        MissingExtraError: When the URL's kind needs a package that is not installed.
    """
    remote = open_url(url)
    try:
        remote.files.put_file(str(file), remote.root)
    except Exception as error:  # As above.
        raise FovealError(f"{url} cannot be written: {error}") from error
