"""The record of a version: `.version.json` in its folder.

The file is hidden because a bundle must not contain foreign files.
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
    """The origin of a version.

    Attributes:
        bundle: Version of the bundle: the first 12 hexadecimal digits of the SHA-256 of
            `bundle.json`.
        model: Name of the model in the bundle.
        task: Name of the task.
        created: Time at which the bundle was written; UTC, ISO 8601.
        trained_by: Version of foveal that wrote the bundle.
        pushed: Time at which the version was published; UTC, ISO 8601.
        pushed_by: Version of foveal that published it.
        who: Name of the user who published it.
        parent: Version that it was compared with; None for the first one.
        data: Fingerprint and sizes of the training data.
        recipe_digest: SHA-256 of the recipe.
        metrics: Validation metrics: name → {"value", "low", "high"}.
        primary_metric: Name of the metric by which versions are compared.
        difference: Difference to the parent, see `Difference.to_json`; None without a parent.
        differences: Unpaired difference of each metric to that of the parent: name → {"value",
            "low", "high"}.
        files: Files of the bundle: name → {"sha256", "bytes"}.
        note: Remark of the publisher.
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
        """Return the fields as JSON values."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """Return the contents of the file."""
        values = {"schema_version": _SCHEMA, **self.to_json()}
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes, location: str) -> Record:
        """Parse the contents of the file.

        Raises:
            StoreError: If it is damaged, or was written by a later version of foveal.
        """
        try:
            values = json.loads(content)
            if values.pop("schema_version") > _SCHEMA:
                raise StoreError(
                    f"{location} was written by a later version of foveal.",
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
        version: Number of the version.
        aliases: Its aliases.
        record: Its record; None for a bundle that was copied into the store by hand.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    record: Record | None

    def __repr__(self) -> str:
        """Return the reference, such as `cats:3`."""
        return f"{self.name}:{self.version}"


def files_of(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return file name → {"sha256", "bytes"} of every file of a bundle."""
    listed = {}
    for name in (MANIFEST_NAME, *bundle.manifest.files):
        content = bundle.read(name)
        listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return listed
