"""The errors a user can cause, each with a code, an exit status, an HTTP status and a hint.

Everything the library raises on purpose derives from `FovealError`; anything else is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar


class FovealError(Exception):
    """Base of every error that foveal raises on purpose.

    Args:
        message: One line: what is wrong and where (file, sample, key).
        hint: What to do about it, preferably a command.
        code: Overrides the class's machine-readable code.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.error_code = code or self.code

    def to_json(self) -> dict[str, str | None]:
        """Return the error as the `error` object of the predictions contract."""
        return {"code": self.error_code, "message": self.message, "hint": self.hint}

    def packed(self) -> dict[str, str | None]:
        """Return the error for another process; see `unpacked`."""
        return {"kind": type(self).__name__, **self.to_json()}


def unpacked(error: Mapping[str, Any]) -> FovealError:
    """Return the error that another process packed; of the base class where its own is unknown."""
    kinds, left = {}, [FovealError]
    while left:
        kind = left.pop()
        kinds[kind.__name__] = kind
        left += kind.__subclasses__()
    kind = kinds.get(error["kind"], FovealError)
    return kind(error["message"], hint=error["hint"], code=error["code"])


class UsageError(FovealError):
    """A wrong option, key or combination of arguments."""

    code = "usage"
    exit_status = 2
    http_status = 400


class RecipeError(UsageError):
    """An unknown key or a value out of range in a recipe."""

    code = "recipe_invalid"


class DataError(FovealError):
    """A source that cannot be trained on or evaluated."""

    code = "data_invalid"
    exit_status = 3
    http_status = 400


class TargetError(DataError):
    """A sample whose label cannot be understood."""

    code = "target_invalid"


class ImageError(DataError):
    """A picture that cannot be decoded."""

    code = "image_unreadable"


class ImageFormatError(ImageError):
    """A file that is not a picture of a supported format."""

    code = "image_format"
    http_status = 415


class ImageTooLargeError(ImageError):
    """A picture over the limit on bytes or pixels; it was not decoded."""

    code = "image_too_large"
    http_status = 413


class ImageMemoryError(ImageError):
    """A picture for which the memory did not suffice; with more of it, it may be a good one."""

    code = "image_memory"
    http_status = 503


class BundleError(FovealError):
    """A bundle that cannot be opened; `error_code` is bundle_invalid, _unsafe or _too_new."""

    code = "bundle_invalid"
    exit_status = 4


class StoreError(FovealError):
    """A model, version or alias that a store does not have, or a store that cannot be read."""

    code = "store_unknown"
    exit_status = 4
    http_status = 404


class PromotionRefused(StoreError):
    """A version that is worse on the pinned test set than the one that it would replace."""

    code = "store_refused"
    exit_status = 1
    http_status = 409


class NetworkError(FovealError):
    """A network that failed, or gave what is no answer: NaN, infinity, or another shape."""

    code = "network_failed"
    exit_status = 4


class ParityError(FovealError):
    """The exported model does not answer like the trained one; nothing was written."""

    code = "parity_failed"
    exit_status = 4


class UnknownOperatorError(FovealError):
    """A network with an operator that an export has no counterpart for; nothing was written."""

    code = "operator_unknown"
    exit_status = 4


class WeightsError(FovealError):
    """Pretrained weights that are not at hand, or that do not fit the backbone."""

    code = "weights_missing"
    exit_status = 4


class RemoteError(FovealError):
    """Something behind a URL that cannot be read or written.

    Args:
        message: One line: what is wrong and where.
        hint: What to do about it.
        code: `remote_refused` without the right, `remote_unreachable` when it may work later.
        why: The reason alone, for a message that names something else.
    """

    code = "remote_failed"
    http_status = 502

    def __init__(
        self, message: str, *, hint: str | None = None, code: str | None = None, why: str = ""
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.why = why or message.rstrip(".")


class MissingExtraError(FovealError):
    """A feature whose optional dependency is not installed."""

    code = "extra_missing"
    exit_status = 2


class PluginError(FovealError):
    """Something that another package adds to foveal and that does not work."""

    code = "plugin_broken"


class TrainingInterrupted(KeyboardInterrupt):
    """A training that Ctrl-C stopped; its run can go on.

    Args:
        run: The run directory, or the URL behind which the run is kept.
    """

    def __init__(self, run: str | Path) -> None:
        super().__init__(f"the training was interrupted; continue with foveal.resume({str(run)!r})")
        self.run = run


# Of 1. At 0.5, `val` was taken for `evaluate` and `wat` for `data`.
_NEAR = 0.65


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to `name`, or None when none is near."""
    names = list(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    # Letters in the wrong order are near to people, and far by what they have in common in order.
    swapped = [other for other in names if sorted(other) == sorted(name)]
    return next(iter([*matches, *swapped]), None)


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the standard sentence for an unknown name, with the nearest known one."""
    names = sorted(known)
    near = nearest(name, names)
    guess = f" Did you mean {near!r}?" if near else ""
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"Unknown {what} {name!r}.{guess} Expected one of: {shown}."
