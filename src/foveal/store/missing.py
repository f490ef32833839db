"""Errors for names, versions and aliases that are not in a store."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.errors import StoreError, nearest
from foveal.store.reference import Reference
from foveal.store.state import NameState


def no_name(name: str, location: str, names: Sequence[str]) -> StoreError:
    """Return the error for a name without a version."""
    near = nearest(name, names)
    known = f"It has: {', '.join(names)}." if names else "It is empty."
    return StoreError(
        f"There is no model {name!r} in the store {location}. {known}",
        hint=f"did you mean {near}?" if near else f"foveal models push RUN {name}",
    )


def no_alias(name: str, alias: str, state: NameState) -> StoreError:
    """Return the error for an alias that was never given."""
    near = nearest(alias, state.aliases)
    known = ", ".join(state.aliases) or "none"
    promote = f"foveal models promote {name}:{max(state.versions)} --alias {alias}"
    return StoreError(
        f"{name} has no alias {alias!r}. Its aliases: {known}.",
        hint=f"did you mean {name}@{near}?" if near else promote,
    )


def no_version(reference: Reference, number: int, state: NameState) -> StoreError:
    """Return the error for a version that is not there, or that an alias still names."""
    known = ", ".join(map(str, state.versions)) or "none"
    meant = "" if reference.version is not None else f" is version {number}, which"
    return StoreError(
        f"{reference}{meant} is not in the store. Versions of {state.name}: {known}.",
        hint=f"foveal models list {state.name}",
    )
