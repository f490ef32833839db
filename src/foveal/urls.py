"""Distinguish fsspec URLs (`s3://`, `gs://`, `memory://`, …) from paths, and print them safely."""

from __future__ import annotations

import re
from pathlib import Path

MANIFEST_NAME = "foveal.manifest.json"
"""Manifest of a folder at a URL; see `foveal.mirror`."""

# Up to a space or a quote; what ends a sentence is no part of it.
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>\])}]+")
# Of signed URLs and of headers, where they stand without their URL.
_SECRET = re.compile(
    r"(?i)\b([\w-]*(?:signature|credential|token|secret|password|access_?key(?:_?id)?)[\w-]*)"
    r"(\s*[=:]\s*)[^\s&,;'\"]+"
)


def is_url(location: str | Path) -> bool:
    """Return whether a location is at a URL; `file://` names a path of this machine."""
    text = str(location)
    return "://" in text and not text.startswith("file://")


def local_path(location: str | Path) -> Path:
    """Return the path that a location without a URL names, `file://` and `~` resolved."""
    return Path(str(location).removeprefix("file://")).expanduser()


def from_here(path: Path) -> Path:
    """Return a path as it is shown and typed here: relative, if it is in the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def below(url: str, *names: str) -> str:
    """Return the URL of something below a URL."""
    return "/".join((url.rstrip("/"), *filter(None, names)))


def shown(location: str | Path) -> str:
    """Return a location as it may be printed: a URL without user, password and query."""
    text = str(location)
    if not is_url(text):
        return text
    scheme, _, rest = text.partition("://")
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def without_secrets(text: str) -> str:
    """Return a sentence of somebody else's as it may be printed: URLs as `shown`, no tokens."""
    return _SECRET.sub(r"\1\2…", _URL.sub(lambda match: shown(match[0]), text))
