"""List remote folders page by page, with little memory.

Object stores are listed by their own requests of some thousand objects, side by side for the
folders at the top; the details of a page are dropped before the next one. What fsspec would return
for a million objects takes over a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

from foveal.machine import read_ahead
from foveal.remote import Remote, stamp_of

# Folders at the top that are listed side by side.
_SIDE_BY_SIDE = 8
# What Google gives at most; S3 gives a thousand.
_PAGE = 5000


class Page(NamedTuple):
    """Some of what lies below a folder.

    Attributes:
        files: Names of files, relative to the folder.
        stamps: 8 bytes for each of them; see `foveal.remote.stamp_of`.
        folders: Names of folders that are told of by themselves; empty ones too.
    """

    files: list[str]
    stamps: bytes
    folders: list[str]


def pages(remote: Remote) -> Iterator[Page]:
    """Yield all that lies below a folder, files and folders in any order.

    Raises:
        FileNotFoundError: If there is no such folder.
        RemoteError: If it cannot be listed.
    """
    remote.forget()
    one_page = _REQUESTS.get(remote.scheme)
    if one_page is None:
        yield from _walked(remote)
        return
    tops: list[str] = []
    for page in _all_pages(remote, one_page, "", delimiter="/"):
        tops += page.folders
        yield page
    work = partial(_below, remote, one_page)
    # Each is a list of pages: as much as its names, which the caller keeps anyway.
    listed = read_ahead(work, tops, workers=_SIDE_BY_SIDE, ahead=_SIDE_BY_SIDE)
    with closing(listed) as found:
        for several in found:
            yield from several


def names_below(remote: Remote) -> list[str]:
    """Return the names of all files below a folder, in any order; none where it is missing."""
    try:
        return [name for page in pages(remote) for name in page.files]
    except FileNotFoundError:
        return []


_Request = Callable[..., tuple[Page, str | None]]


def _below(remote: Remote, one_page: _Request, folder: str) -> list[Page]:
    return list(_all_pages(remote, one_page, folder + "/"))


def _all_pages(
    remote: Remote, one_page: _Request, prefix: str, *, delimiter: str = ""
) -> Iterator[Page]:
    token: str | None = None
    while True:
        page, token = one_page(remote, prefix, delimiter, token)
        yield page
        if token is None:
            return


def _s3_page(
    remote: Remote, prefix: str, delimiter: str, token: str | None
) -> tuple[Page, str | None]:
    bucket, key, _ = remote.files.split_path(remote.root)
    start = f"{key}/" if key else ""
    more = {"ContinuationToken": token} if token else {}
    if delimiter:
        more["Delimiter"] = delimiter
    found = remote.ask(
        "list", "call_s3", "list_objects_v2", Bucket=bucket, Prefix=start + prefix, **more
    )
    folders = [each["Prefix"] for each in found.get("CommonPrefixes", ())]
    objects = ((each["Key"], each) for each in found.get("Contents", ()))
    following = found["NextContinuationToken"] if found.get("IsTruncated") else None
    return _page(objects, folders, len(start)), following


def _gcs_page(
    remote: Remote, prefix: str, delimiter: str, token: str | None
) -> tuple[Page, str | None]:
    bucket, key, _ = remote.files.split_path(remote.root)
    start = f"{key}/" if key else ""
    more = {"pageToken": token} if token else {}
    if delimiter:
        more["delimiter"] = delimiter
    found = remote.ask(
        "list",
        "call",
        "GET",
        "b/{}/o",
        bucket,
        prefix=start + prefix,
        maxResults=_PAGE,
        json_out=True,
        **more,
    )
    objects = ((each["name"], each) for each in found.get("items", ()))
    page = _page(objects, found.get("prefixes", ()), len(start))
    return page, found.get("nextPageToken")


_REQUESTS: dict[str, _Request] = {
    **dict.fromkeys(("s3", "s3a"), _s3_page),
    **dict.fromkeys(("gs", "gcs"), _gcs_page),
}


def _page(objects: Any, folders: Any, skipped: int) -> Page:
    """Return a page of (key, details), and of keys of folders, without the folder's own key."""
    names: list[str] = []
    stamps: list[bytes] = []
    below = [folder[skipped:].rstrip("/") for folder in folders]
    for key, details in objects:
        name = key[skipped:]
        # What consoles write to show an empty folder.
        if name.endswith("/") or not name:
            below += [name.rstrip("/")] if name else []
            continue
        names.append(name)
        stamps.append(stamp_of(details))
    return Page(names, b"".join(stamps), [folder for folder in below if folder])


def _walked(remote: Remote) -> Iterator[Page]:
    """Yield a page for each folder, as `ls` of the file system gives it."""
    prefix = (remote.root + "/").lstrip("/")
    waiting = [remote.root or "/"]
    while waiting:
        files: list[str] = []
        stamps: list[bytes] = []
        folders: list[str] = []
        for details in remote.ask("list", "ls", waiting.pop(), detail=True):
            name = details["name"].lstrip("/").removeprefix(prefix).strip("/")
            # Some file systems list a folder within itself.
            if not name or details["name"].strip("/") == remote.root.strip("/"):
                continue
            if details["type"] == "directory":
                folders.append(name)
                waiting.append(details["name"])
            else:
                files.append(name)
                stamps.append(stamp_of(details))
        remote.forget()
        yield Page(files, b"".join(stamps), folders)
