"""The package of a job: foveal's code, and the files of the work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

from foveal.errors import UsageError
from foveal.jobs.work import Work
from foveal.wheel import wheel_files

Contents: TypeAlias = Mapping[str, bytes | Path]
"""Path in a package → content, or a file that has it."""

_CHUNK = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class Package:
    """Files that are unpacked into one folder, in which the job runs.

    Attributes:
        contents: What it holds; foveal's modules are at its top, where Python finds them.
    """

    contents: Contents

    @classmethod
    def of(cls, work: Work, *, limit_mb: int, where: str) -> Package:
        """Return the package of some work.

        Args:
            work: What is sent.
            limit_mb: Most that its files may have together, in MB: pictures do not shrink.
            where: What takes no more, for the message.

        Raises:
            UsageError: If it has more.
        """
        files = dict(_flat(work.files))
        sizes = {name: _size(data) for name, data in files.items()}
        total = sum(sizes.values())
        if total > limit_mb * 1_000_000:
            name = max(work.files, key=lambda name: _size_below(sizes, name)).rpartition("/")[2]
            raise UsageError(
                f"{name} has {total / 1e6:,.0f} MB; {where} takes at most {limit_mb:,} MB.",
                hint="put the pictures into a bucket: foveal train gs://BUCKET/FOLDER --on …",
            )
        return cls({**wheel_files(), **files})

    def digest(self) -> str:
        """Return the sha256 of names and contents, as hexadecimal digits."""
        found = hashlib.sha256()
        for name, data in sorted(self.contents.items()):
            found.update(f"{len(name.encode())}:{name}:{_size(data)}:".encode())
            for chunk in _chunks(data):
                found.update(chunk)
        return found.hexdigest()


def _flat(files: Contents) -> Iterator[tuple[str, bytes | Path]]:
    """Yield every file, those in folders too; hidden ones are not looked at by any reader."""
    for name, data in files.items():
        if isinstance(data, bytes) or not data.is_dir():
            yield name, data
            continue
        for path in sorted(data.rglob("*")):
            inside = path.relative_to(data)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield f"{name}/{inside.as_posix()}", path


def _size(data: bytes | Path) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _size_below(sizes: Mapping[str, int], name: str) -> int:
    return sum(size for path, size in sizes.items() if path == name or path.startswith(f"{name}/"))


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    with data.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
