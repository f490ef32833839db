"""What a store knows about a version beside its bundle: `.version.json` in its folder.

The name is hidden since a bundle has no other files than its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.errors import StoreError
from foveal.store.state import check_types
from foveal.types import JsonObject

RECORD_NAME = ".version.json"
ANSWERS_NAME = ".answers.csv"
_SCHEMA = 1
_TYPES = {
    **dict.fromkeys(("bundle", "task", "created", "pushed", "who", "primary_metric", "note"), str),
    **dict.fromkeys(("data", "metrics", "differences", "files"), dict),
    "parent": (int, type(None)),
    "difference": (dict, type(None)),
}


@final
@dataclass(frozen=True, slots=True)
class Record:
    """How a version came to be.

    Attributes:
        bundle: Version of the bundle: 12 hexadecimal digits of the sha256 of `bundle.json`.
        model: Name that the bundle gives itself.
        task: Name of the task.
        created: When the bundle was written; UTC, ISO 8601.
        trained_by: Version of foveal that wrote the bundle.
        pushed: When the version was published; UTC, ISO 8601.
        pushed_by: Version of foveal that published it.
        who: Who published it.
        parent: The version that it was compared with; None for a first one.
        data: Fingerprint and sizes of the data trained on.
        recipe_digest: sha256 of the recipe.
        metrics: Validation metrics: name → {"value", "low", "high"}.
        primary_metric: Name of the one that versions are compared by.
        difference: To the parent, see `Difference.to_json`; None without one.
        differences: How every metric differs from the parent's, unpaired: name → {"value", "low",
            "high"}.
        files: File name → {"sha256", "bytes"} of every file of the bundle.
        note: What the publisher wrote about it.
    """

    bundle: str
    model: str
    task: str
    created: str
    trained_by: str
    pushed: str
    pushed_by: str
    who: str
    parent: int | None
    data: JsonObject
    recipe_digest: str
    metrics: Mapping[str, Mapping[str, float | None]]
    primary_metric: str
    difference: JsonObject | None
    differences: Mapping[str, Mapping[str, float | None]]
    files: Mapping[str, Mapping[str, Any]]
    note: str = ""

    def to_json(self) -> JsonObject:
        """Return JSON values."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """Return the file."""
        values = {"schema_version": _SCHEMA, **self.to_json()}
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes, location: str) -> Record:
        """Read the file.

        Raises:
            StoreError: When it is damaged, or a later foveal wrote it.
        """
        try:
            values = json.loads(content)
            if values.pop("schema_version") > _SCHEMA:
                raise StoreError(
                    f"A later foveal wrote {location}.",
                    code="store_too_new",
                    hint="pip install --upgrade foveal",
                )
            record = cls(**check_types(values, _TYPES))
            for name in ("metrics", "differences", "files"):
                check_types(values[name], dict.fromkeys(values[name], dict))
            return record
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(f"{location} is damaged: {error!r}.", code="store_damaged") from error


@final
@dataclass(frozen=True, slots=True, repr=False)
class StoredVersion:
    """A version in a store.

    Attributes:
        name: The name.
        version: The version.
        aliases: Its aliases.
        record: How it came to be; None for a bundle that somebody copied into the store.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    record: Record | None

    def __repr__(self) -> str:
        """Return what a user types, such as `cats:3`."""
        return f"{self.name}:{self.version}"


def files_of(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return file name → {"sha256", "bytes"} of every file of a bundle."""
    listed = {}
    for name in (MANIFEST_NAME, *bundle.manifest.files):
        content = bundle.read(name)
        listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return listed
