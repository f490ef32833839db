"""Recipes of collections: YAML for listing pages, or a table of URLs and labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, final

from foveal.collect.addresses import AddressError, normal
from foveal.collect.listed import Listed, read_list
from foveal.collect.selectors import SELECTORS, check_selectors
from foveal.data.names import is_hidden
from foveal.errors import FovealError, RecipeError
from foveal.recipe.knobs import read_overrides
from foveal.recipe.yaml_file import read_mapping
from foveal.settings import About, parse_section
from foveal.version import __version__

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
# What provenance.csv says of every picture; a field cannot have one of these names.
COLUMNS = (
    *("file", "class", "address", "page", "time", "outcome", "reason", "status"),
    *("sha256", "bytes", "content_type", "redirected_to"),
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.IGNORECASE)
_TIME_UNITS = (86_400, 3600, 60, 1)
_HINT = "foveal collect --help shows a recipe"


@final
@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a collection; a later call with higher limits continues it."""

    pages: Annotated[int, About("Listing pages of each class.", ge=1)] = 100
    pictures: Annotated[
        int | None,
        About("Pictures of each class; of a list as many as it has.", ge=1),
    ] = None
    bytes: Annotated[int, About("Bytes received in all, such as 500MB or 2GB.", ge=1)] = 2 * 10**9
    time: Annotated[float, About("Time of one call, such as 90s, 30m or 2h.", gt=0)] = 3600.0
    picture_bytes: Annotated[int, About("Bytes of one picture, such as 20MB.", ge=1)] = 20 * 10**6


@final
@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a collection."""

    item: Annotated[
        str | None,
        About("CSS or XPath of one entry of a page; none takes the page as one entry."),
    ] = None
    picture: Annotated[str, About("CSS or XPath of the pictures in an entry.")] = "img"
    next: Annotated[
        str | None, About("CSS or XPath of the link to the next page; none reads one page.")
    ] = None
    fields: Annotated[
        dict[str, Any], About("Name: CSS or XPath in an entry; kept in provenance.csv.")
    ] = field(default_factory=dict)
    delay: Annotated[
        float, About("Seconds between two requests to one host, half to one and a half.", ge=0)
    ] = 1.0
    connections: Annotated[
        int, About("Requests to one host that may be open at once.", ge=1, le=64)
    ] = 2
    timeout: Annotated[float, About("Seconds without a byte until it is an error.", gt=0)] = 30.0
    tries: Annotated[
        int, About("How often something is asked for that fails for the moment.", ge=1, le=20)
    ] = 4
    robots: Annotated[bool, About("Obey robots.txt.")] = True
    user_agent: Annotated[str, About("Who asks; add an address where you can be reached.")] = (
        f"foveal/{__version__}"
    )
    limits: Limits = field(default_factory=Limits)


@final
@dataclass(frozen=True, kw_only=True)
class CollectRecipe:
    """The recipe of a collection. classes: Class → addresses of its first listing pages. listed:
    Addresses of pictures with their classes; in place of listing pages. options: How.

    Attributes:
    """

    classes: Mapping[str, tuple[str, ...]]
    listed: tuple[Listed, ...]
    options: Options

    @property
    def pictures(self) -> int:
        """Return how many pictures of a class are wanted."""
        limit = self.options.limits.pictures
        return limit if limit is not None else 1000 if self.classes else max(1, len(self.listed))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the fields, in order."""
        names = dict.fromkeys(name for row in self.listed for name in row.fields)
        return tuple(self.options.fields or names)


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> CollectRecipe:
    """Read a recipe, or a table of addresses and labels.

    Args:
        path: YAML; or `.csv`, `.tsv` or `.jsonl` with the columns address and label.
        overrides: Each `limits.pages=5`; the last of a key counts.

    Raises:
        RecipeError: For a file that cannot be read, an unknown key, a value of the wrong type or
            out of range, a selector that is none, or a missing address. It names the file.
    """
    try:
        given = read_overrides(overrides, example="foveal collect RECIPE --set limits.pages=5")
        if path.suffix.lower() in TABLES:
            listed = read_list(path, reserved=COLUMNS)
            for row in listed:
                check_class(row.label)
            return CollectRecipe(classes={}, listed=listed, options=_options(given))
        content = read_mapping(
            path, "recipe", expected="at least classes: {NAME: ADDRESS}", hint=_HINT
        )
        loaded = _merged(content, given)
        classes = loaded.pop("classes", None)
        return CollectRecipe(classes=_classes(classes), listed=(), options=_options(loaded))
    except FovealError as error:
        if str(path) in error.message:
            raise
        raise RecipeError(f"{path}: {error.message}", hint=error.hint or _HINT) from error


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, Mapping)
        merged[key] = _merged(under, value) if both else value  # type: ignore[arg-type]
    return merged


def _options(data: Mapping[str, Any]) -> Options:
    options = parse_section(Options, _amounts(data))
    check_selectors(
        {name: getattr(options, name) for name in SELECTORS if getattr(options, name) is not None}
        | {f"fields.{name}": text for name, text in options.fields.items()}
    )
    for name in options.fields:
        if not name or name in COLUMNS:
            raise RecipeError(
                f"Invalid name of a field in recipe key 'fields': {name!r}.",
                hint=f"reserved names: {', '.join(COLUMNS)}",
            )
    if not options.user_agent.isascii() or not options.user_agent.isprintable():
        raise RecipeError(
            "Invalid value for recipe key 'user_agent'. Expected printable ASCII characters. "
            f"Received: {options.user_agent!r}."
        )
    return options


def _amounts(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data with `2GB` as bytes and `1h` as seconds; what is neither stays."""
    limits = data.get("limits")
    if not isinstance(limits, Mapping):
        return data
    read = dict(limits)
    for key, value in limits.items():
        if isinstance(value, str) and key in ("bytes", "picture_bytes", "time"):
            number = seconds_of(value) if key == "time" else size_of(value)
            read[key] = value if number is None else number
    return {**data, "limits": read}


def size_of(text: str) -> int | None:
    """Return the bytes in `500MB`, `2GB` or `1000`; None for anything else."""
    match = _SIZE.fullmatch(text.strip())
    return int(float(match[1]) * _SIZE_UNITS[match[2].lower()]) if match else None


def seconds_of(text: str) -> float | None:
    """Return the seconds in `90`, `90s`, `30m` or `1h30m`; None for anything else."""
    match = _TIME.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    return sum(float(n or 0) * unit for n, unit in zip(match.groups(), _TIME_UNITS, strict=True))


def _classes(given: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, Mapping) or not given:
        raise RecipeError(
            "Missing or invalid recipe key 'classes'. Expected {NAME: ADDRESS} or "
            f"{{NAME: [ADDRESS, ...]}}. Received: {given!r}.",
            hint=_HINT,
        )
    classes: dict[str, tuple[str, ...]] = {}
    for name, starts in given.items():
        where = f"recipe key 'classes.{name}'"
        if not isinstance(name, str):
            raise RecipeError(
                f"Invalid {where}: YAML does not read {name!r} as text.",
                hint=f'quote it: "{name}": ...',
            )
        check_class(name)
        addresses = [starts] if isinstance(starts, str) else starts
        if not isinstance(addresses, list) or not addresses:
            raise RecipeError(
                f"Invalid value for {where}. Expected an address or a list of addresses. "
                f"Received: {starts!r}."
            )
        classes[name] = tuple(dict.fromkeys(_start(where, address) for address in addresses))
    return classes


def _start(where: str, address: Any) -> str:
    try:
        return normal(str(address))
    except AddressError as error:
        raise RecipeError(
            f"Invalid value for {where}: {error}. Received: {address!r}.",
            hint="addresses begin with https:// or http://",
        ) from error


def check_class(name: str) -> None:
    """Raise unless a folder that readers see can have the name.

    Raises:
        RecipeError: If it cannot.
    """
    if (
        not name
        or name != name.strip()
        or is_hidden(name)
        or not name.isprintable()
        or any(sign in name for sign in '/\\:*?"<>|')
        or len(name.encode()) > 200
    ):
        raise RecipeError(
            f"Invalid class name {name!r}. Expected a name that a folder can have.",
            hint="use only letters, digits, spaces, - and _",
        )
