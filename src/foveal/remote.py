"""Folders and files behind fsspec URLs: every access is repeated when it fails for a moment.

Credentials are those that the packages of the file systems find themselves.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

from foveal.errors import MissingExtraError, RemoteError, UsageError
from foveal.extras import install_extra
from foveal.retries import insist, status_of, told
from foveal.urls import below, shown

# One request has to be answered within TIMEOUT_S, and what it carries at SLOWEST bytes a second.
TIMEOUT_S = 30.0
SLOWEST = 256 * 1024
# Larger files are read in parts, each of which is repeated alone.
PART_BYTES = 8 << 20
# Removing a folder takes a request for each thousand objects.
_LIKE_A_FILE_OF = 600 * SLOWEST

_CLOUDS = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs"}
_PACKAGES = {"abfs": "adlfs", "az": "adlfs"}
# The first that a file system has says with the size which content it is.
_STAMPED = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
STAMP_BYTES = 8


class Info(NamedTuple):
    """Metadata of a file or folder.

    Attributes:
        size: Bytes.
        is_folder: Whether it is a folder.
        stamp: 8 bytes that change with the content; see `stamp_of`.
    """

    size: int
    is_folder: bool
    stamp: bytes


@final
@dataclass(frozen=True, slots=True)
class Remote:
    """A folder or file at an fsspec URL.

    All methods raise `RemoteError` when the file system fails, and `FileNotFoundError` as it says.

    Attributes:
        url: As it was given.
        files: A file system of fsspec.
        root: Path in it, without a slash at its end.
    """

    url: str
    files: Any
    root: str

    @property
    def scheme(self) -> str:
        """Return the kind of URL: what stands before `://`."""
        return self.url.partition("://")[0]

    def path(self, *names: str) -> str:
        """Return the path in the file system of a name below."""
        return "/".join((self.root, *filter(None, names)))

    def parent(self) -> tuple[Remote, str]:
        """Return the folder that this is in, and its name there."""
        root, _, name = self.root.rpartition("/")
        return Remote(self.url.rstrip("/").rpartition("/")[0], self.files, root), name

    def child(self, *names: str) -> Remote:
        """Return what a name below is."""
        return Remote(below(self.url, *names), self.files, self.path(*names))

    def kind(self, name: str = "") -> Literal["folder", "file", "missing"]:
        """Return `folder`, `file` or `missing`."""
        found = self.info(name)
        if found is None:
            return "missing"
        return "folder" if found.is_folder else "file"

    def info(self, name: str = "") -> Info | None:
        """Return what the file system says about a name, or None where nothing is."""
        try:
            found = self._ask("look at", name, "info", self.path(name) or "/")
        except FileNotFoundError:
            return None
        is_folder = found["type"] == "directory"
        return Info(int(found.get("size") or 0), is_folder, stamp_of(found))

    def read(self, name: str = "", *, most: int | None = None) -> bytes:
        """Return the bytes of a file.

        Args:
            name: Its name; empty for the URL itself.
            most: Read no more than so many bytes; None reads all.
        """
        parts: list[bytes] = []
        start = 0
        while most is None or start < most:
            wanted = PART_BYTES if most is None else min(PART_BYTES, most - start)
            part = self._part(name, start, start + wanted)
            parts.append(part)
            start += len(part)
            if len(part) < wanted:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _part(self, name: str, start: int, end: int) -> bytes:
        def read() -> bytes:
            try:
                content: bytes = self._call(
                    "cat_file", self.path(name), size=end - start, start=start, end=end
                )
            except Exception as error:
                # 416: there are no such bytes. The file ends before them.
                if status_of(error) == 416 or "InvalidRange" in str(error):
                    return b""
                raise
            return content

        return insist(read, below(self.url, name), "read")

    def write(self, content: bytes, name: str = "", *, is_new: bool = False) -> None:
        """Write a file; object stores show it whole or not at all.

        Args:
            content: All of it.
            name: Its name; empty for the URL itself.
            is_new: Raise `FileExistsError` where something is there; file systems that cannot
                create exclusively overwrite it.
        """
        mode = {"mode": "create"} if is_new else {}
        path = self._placed(name)
        with self._in_a_bucket(name):
            self._ask("write", name, "pipe_file", path, content, size=len(content), **mode)

    def claim(self, content: bytes, name: str) -> bool:
        """Create a file, and return whether it is there with this content and no other.

        Args:
            content: All of it; nobody else writes the same.
            name: Its name.
        """
        # File systems that cannot create exclusively would overwrite what somebody else has there;
        # where the answer to a first attempt was lost, the second finds what the first wrote.
        self.forget()
        if self.info(name) is None:
            with suppress(FileExistsError):
                self.write(content, name, is_new=True)
        try:
            return self.read(name) == content
        except FileNotFoundError:
            return False

    def put(self, path: Path, name: str = "") -> None:
        """Upload a file of this machine."""
        size = path.stat().st_size
        with self._in_a_bucket(name):
            self._ask("write", name, "put_file", str(path), self._placed(name), size=size)

    def get(self, path: Path, name: str = "") -> None:
        """Download a file, part by part; `path` is written as the parts come.

        The folder that it goes to is made where there is none.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            start = 0
            while part := self._part(name, start, start + PART_BYTES):
                file.write(part)
                start += len(part)
                if len(part) < PART_BYTES:
                    break

    def copy(self, source: str, target: str) -> None:
        """Copy a file to another name below, on the server's side where it can."""
        size = self.info(source)
        self._ask(
            "write",
            target,
            "cp_file",
            self.path(source),
            self._placed(target),
            size=0 if size is None else size.size,
        )

    def delete(self, name: str = "", *, recursive: bool = False) -> None:
        """Remove a file, or a folder with all that is in it; nothing to remove is no error."""
        try:
            if recursive:
                path = self.path(name)
                self._ask("remove", name, "rm", path, recursive=True, size=_LIKE_A_FILE_OF)
            else:
                self._ask("remove", name, "rm_file", self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            return

    def names(self) -> list[str]:
        """Return the names directly in the folder, of files and folders."""
        self.forget()
        found = self._ask("list", "", "ls", self.root or "/", detail=False)
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def forget(self) -> None:
        """Drop what the file system remembers of listings: others may have written."""
        self.files.invalidate_cache()

    def ask(self, doing: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the file system; see `insist` for what is repeated and raised."""
        return self._ask(doing, "", method, *args, **kwargs)

    def _placed(self, name: str) -> str:
        """Return the path of a name, whose folder is there."""
        path = self.path(name)
        # Object stores know no folders, and would make a bucket of a mistyped name.
        if self.scheme not in _CLOUDS:
            self._ask("write", name, "makedirs", path.rpartition("/")[0], exist_ok=True)
        return path

    @contextmanager
    def _in_a_bucket(self, name: str) -> Iterator[None]:
        """Raise `RemoteError` where there is no bucket to write to."""
        try:
            yield
        except FileNotFoundError as error:
            if self.scheme not in _CLOUDS:
                raise
            bucket = f"{self.scheme}://{self.root.partition('/')[0]}"
            make = "aws s3 mb" if self.scheme == "s3" else "gcloud storage buckets create"
            why = f"the bucket {bucket} does not exist"
            raise RemoteError(
                f"Cannot write {shown(below(self.url, name))}: {why}.",
                hint=f"{make} {bucket}",
                why=why,
            ) from error

    def _ask(self, doing: str, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return insist(
            lambda: self._call(method, *args, **kwargs),
            below(self.url, name),
            doing,
        )

    def _call(self, method: str, *args: Any, size: int = 0, **kwargs: Any) -> Any:
        """Call a method of the file system, which has time in proportion to `size` in bytes."""
        if not self.files.async_impl:
            return getattr(self.files, method)(*args, **kwargs)
        from fsspec.asyn import sync

        limit_s = TIMEOUT_S + size / SLOWEST
        call = getattr(self.files, f"_{method}")
        return sync(self.files.loop, call, *args, timeout=limit_s, **kwargs)


def stamp_of(info: dict[str, Any]) -> bytes:
    """Return 8 bytes that change with what a file system says of a file: size, etag, time."""
    found = next((info[key] for key in _STAMPED if info.get(key)), "")
    if isinstance(found, datetime):
        found = found.timestamp()
    # Google lists sizes as texts.
    words = f"{int(info.get('size', info.get('Size')) or 0)} {found}"
    return blake2b(words.encode(), digest_size=STAMP_BYTES).digest()


def open_url(url: str) -> Remote:
    """Return what a URL names, which need not be there yet.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        RemoteError: If its server cannot be reached.
        UsageError: If the protocol of the URL is unknown.
    """
    scheme = url.partition("://")[0]
    if scheme in ("gs", "gcs") and os.environ.get("STORAGE_EMULATOR_HOST"):
        # gcsfs asks about kinds of buckets by gRPC, which emulators do not answer for a minute.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    # Here, because only URLs need it and it costs a tenth of the start-up.
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url, **_options(scheme))
    except ImportError as error:
        hint = install_extra("cloud") if scheme in _CLOUDS else None
        if scheme in _PACKAGES:
            hint = f"pip install {_PACKAGES[scheme]}"
        raise MissingExtraError(
            f"{shown(url)} needs a package that is not installed: {error}", hint=hint
        ) from error
    except ValueError as error:
        raise UsageError(f"Cannot open {shown(url)}: {error}") from error
    except OSError as error:
        # FTP and SFTP connect already here.
        raise told(error, url, "open") from error
    if _CLOUDS.get(scheme) == "s3fs":
        # An instance of foveal's own, because of its options.
        files.retries = 1
    elif _CLOUDS.get(scheme) == "gcsfs":
        _ask_once(files)
    return Remote(url, files, root.rstrip("/"))


def _ask_once(files: Any) -> None:
    """Let a file system of gcsfs send each request once, like the others.

    It repeats a request six times within half a minute, which a decorator fixes: together with the
    attempts of `insist`, an endpoint that is gone would be asked for minutes.
    """
    once = getattr(type(files)._request, "__wrapped__", None)
    if once is not None:
        files._request = once.__get__(files)


def _options(scheme: str) -> dict[str, Any]:
    """Return how a file system is opened: what it repeats itself would be repeated again."""
    if scheme not in _CLOUDS:
        return {}
    # It tells of failures that are then repeated, with a traceback.
    logging.getLogger(_CLOUDS[scheme]).addHandler(logging.NullHandler())
    if _CLOUDS[scheme] == "gcsfs":
        return {"use_listings_cache": False}
    limits = {"connect_timeout": 10, "read_timeout": TIMEOUT_S, "max_pool_connections": 64}
    return {
        "use_listings_cache": False,
        "config_kwargs": {**limits, "retries": {"total_max_attempts": 2, "mode": "standard"}},
    }
