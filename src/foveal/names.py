"""Names of models, which are used for runs, bundles, stores and routes."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Return whether `text` may be a name: up to 64 letters, digits, `.`, `_` and `-`.

    The first is a letter or a digit, so that no name is a path or hides its folder.
    """
    return _NAME.fullmatch(text) is not None
