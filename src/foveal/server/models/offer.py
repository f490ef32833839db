"""Resolve the arguments of `foveal serve`: paths, names, whole stores."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from foveal.errors import UsageError, unknown_name
from foveal.predict import Predictor
from foveal.server.models.follow import Followed
from foveal.server.models.loader import Offer
from foveal.server.models.served import Canary
from foveal.store.reference import Reference
from foveal.store.store import Store

_SHARE = re.compile(r"(.+)=([0-9]+(?:\.[0-9]+)?)\s*%")


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """The models requested by a user.

    Attributes:
        models: Paths, several joined by commas that vote, or `cats`, `cats@live`, `cats:3`. The
            first of a name says which version answers requests that ask for none.
        store: Path or URL of the store that the names are in; without models all of it is served.
        canaries: `NAME:VERSION=SHARE%`.
        shadows: `NAME:VERSION`.
    """

    models: Sequence[str | Path] = ()
    store: str | None = None
    canaries: Sequence[str] = ()
    shadows: Sequence[str] = ()


@final
@dataclass(frozen=True, slots=True)
class _Versioned:
    name: str
    number: int


@final
@dataclass(slots=True)
class _Name:
    store: Store
    choices: list[Reference] = field(default_factory=list)
    canary: Canary | None = None
    shadow: int | None = None


def make_offer(
    wanted: Wanted,
    open_path: Callable[[str | Path], Predictor],
    in_store: Callable[[str | Path, str | None], tuple[Store, Reference] | None],
) -> Offer:
    """Return what is to be served; models of a store are loaded later, by the server.

    Args:
        wanted: What the user asks for.
        open_path: Opens what is at a path, or votes.
        in_store: Finds a model in the store at a location or the default one, None for a path.

    Raises:
        UsageError: For an invalid canary or shadow, or two models of one name.
        BundleError: If a path has no model.
    """
    fixed: dict[str, Predictor] = {}
    names: dict[str, _Name] = {}
    whole = None if wanted.models or wanted.store is None else Store.open(wanted.store)
    for model in wanted.models:
        stored = None if "," in str(model) else in_store(model, wanted.store)
        if stored is None:
            predictor = open_path(model)
            if predictor.bundle.name in fixed:
                raise _twice(predictor.bundle.name)
            fixed[predictor.bundle.name] = predictor
            continue
        store, reference = stored
        known = names.setdefault(reference.name, _Name(store))
        if known.store.location != store.location:
            raise _twice(reference.name)
        known.choices.append(reference)
    if whole is not None:
        # Those with a canary or a shadow are named by that.
        texts = [re.split("[:=]", text)[0] for text in (*wanted.canaries, *wanted.shadows)]
        for name in {*texts} & {*whole.names()}:
            names[name] = _Name(whole, [Reference(name)])
    _add_canaries(names, wanted, fixed, whole.names() if whole is not None else ())
    followed = tuple(
        Followed(known.store, name, tuple(known.choices), known.canary, known.shadow)
        for name, known in names.items()
    )
    return Offer(fixed, followed, whole)


def _add_canaries(
    names: dict[str, _Name], wanted: Wanted, fixed: Collection[str], others: Sequence[str]
) -> None:
    def followed(version: _Versioned, option: str) -> _Name:
        if version.name not in names:
            raise _not_followed(version, option, {*names, *others}, fixed)
        return names[version.name]

    for text in wanted.canaries:
        match = _SHARE.fullmatch(text)
        share = float(match[2]) / 100 if match else 0.0
        if match is None or not 0 < share <= 1:
            raise _invalid("--canary", "NAME:VERSION=SHARE%, such as cats:4=5%", text)
        version = _version_of(match[1], "--canary", "cats:4=5%")
        followed(version, f"--canary {text}").canary = Canary(version.number, share)
    for text in wanted.shadows:
        version = _version_of(text, "--shadow", "cats:4")
        followed(version, f"--shadow {text}").shadow = version.number


def _version_of(text: str, option: str, example: str) -> _Versioned:
    reference = Reference.parse(text)
    if reference is None or reference.version is None:
        raise _invalid(option, f"the number of a version, such as {example}", text)
    return _Versioned(reference.name, reference.version)


def _not_followed(
    wanted: _Versioned, option: str, stored: Collection[str], fixed: Collection[str]
) -> UsageError:
    is_fixed = wanted.name in fixed
    if stored and not is_fixed:
        return UsageError(unknown_name("stored model", wanted.name, stored))
    served = f"{wanted.name} is served from a path" if is_fixed else "no model is served from one"
    return UsageError(
        f"{wanted.name}:{wanted.number} is a version in a store, but {served}.",
        hint=f"foveal serve {wanted.name}@live {option}",
    )


def _invalid(option: str, expected: str, text: str) -> UsageError:
    return UsageError(f"Invalid {option}. Expected {expected}. Received: {text!r}.")


def _twice(name: str) -> UsageError:
    return UsageError(f"Two models are named {name!r}.", hint="serve only one of them")
