"""Exceptions for errors that users can cause, with code, exit status, HTTP status and hint.

All exceptions that the library raises on purpose derive from `FovealError`; any other exception is
a bug.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar


class FovealError(Exception):
    """Base class of all exceptions that foveal raises on purpose.

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
        if hint is not None:
            # Python and notebooks show it below the message.
            self.add_note(f"hint: {hint}")

    def to_json(self) -> dict[str, str | None]:
        """Return the error as the `error` object of the predictions contract."""
        return {"code": self.error_code, "message": self.message, "hint": self.hint}

    def packed(self) -> dict[str, str | None]:
        """Return the error as values that can be sent to another process; see `unpacked`."""
        return {"kind": type(self).__name__, **self.to_json()}


def complaint(message: str, hint: str | None = None) -> str:
    """Return an error as people read it in a terminal: its line, and the hint below."""
    return f"error: {message}" + (f"\nhint: {hint}" if hint else "")


def reason(error: Exception) -> str:
    """Return what an error of Python says; for one of the system, without its number and path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def unpacked(error: Mapping[str, Any]) -> FovealError:
    """Return the error that another process packed; a `FovealError` if its class is unknown."""
    kinds, left = {}, [FovealError]
    while left:
        kind = left.pop()
        kinds[kind.__name__] = kind
        left += kind.__subclasses__()
    kind = kinds.get(error["kind"], FovealError)
    return kind(error["message"], hint=error["hint"], code=error["code"])


class UsageError(FovealError):
    """Raised for an invalid option, key or combination of arguments."""

    code = "usage"
    exit_status = 2
    http_status = 400


class RecipeError(UsageError):
    """Raised for an unknown key or a value out of range in a recipe."""

    code = "recipe_invalid"


class DataError(FovealError):
    """Raised for data that cannot be used for training or evaluation."""

    code = "data_invalid"
    exit_status = 3
    http_status = 400


class TargetError(DataError):
    """Raised for a sample with an invalid label."""

    code = "target_invalid"


class ImageError(DataError):
    """Raised for a picture that cannot be decoded."""

    code = "image_unreadable"


class ImageFormatError(ImageError):
    """Raised for a file that is not a picture in a supported format."""

    code = "image_format"
    http_status = 415


class ImageTooLargeError(ImageError):
    """Raised for a picture over the limit on bytes or pixels, before it is decoded."""

    code = "image_too_large"
    http_status = 413


class ImageMemoryError(ImageError):
    """Raised if memory runs out while a picture is decoded; the picture itself may be valid."""

    code = "image_memory"
    http_status = 503


class BundleError(FovealError):
    """Raised for a bundle that cannot be opened, as bundle_invalid, _unsafe or _too_new."""

    code = "bundle_invalid"
    exit_status = 4


class StoreError(FovealError):
    """Raised for a model, version or alias that is not in the store, or an unreadable store."""

    code = "store_unknown"
    exit_status = 4
    http_status = 404


class PromotionRefused(StoreError):
    """Raised if a version is worse on the pinned test set than the one that it would replace."""

    code = "store_refused"
    exit_status = 1
    http_status = 409


class NetworkError(FovealError):
    """Raised if a network fails or returns an invalid output: NaN, infinity, or a wrong shape."""

    code = "network_failed"
    exit_status = 4


class ParityError(FovealError):
    """Raised if an exported model answers differently from the trained one; nothing is written."""

    code = "parity_failed"
    exit_status = 4


class UnknownOperatorError(FovealError):
    """Raised for a network with an operator that an export does not support; nothing is written."""

    code = "operator_unknown"
    exit_status = 4


class WeightsError(FovealError):
    """Raised for pretrained weights that are missing or do not fit the backbone."""

    code = "weights_missing"
    exit_status = 4


class RemoteError(FovealError):
    """Raised if a URL cannot be read from or written to.

    Args:
        message: One line: what is wrong and where.
        hint: What to do about it.
        code: `remote_refused` if permission is missing, `remote_unreachable` if it may work later.
        why: The reason alone, for use in other messages.
    """

    code = "remote_failed"
    http_status = 502

    def __init__(
        self, message: str, *, hint: str | None = None, code: str | None = None, why: str = ""
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.why = why or message.rstrip(".")


class MissingExtraError(FovealError):
    """Raised if an optional dependency is not installed."""

    code = "extra_missing"
    exit_status = 2


class PluginError(FovealError):
    """Raised for a plug-in that does not work."""

    code = "plugin_broken"


class TrainingInterrupted(KeyboardInterrupt):
    """Raised if Ctrl-C stops a training; its run can be resumed.

    Args:
        run: Directory or URL of the run.
    """

    def __init__(self, run: str | Path) -> None:
        super().__init__(f"the training was interrupted; continue with foveal.resume({str(run)!r})")
        self.run = run


# Of 1. At 0.5, `val` was taken for `evaluate` and `wat` for `data`.
_NEAR = 0.65


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None if none is close."""
    names = list(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    # Letters in the wrong order are near to people, and far by what they have in common in order.
    swapped = [other for other in names if sorted(other) == sorted(name)]
    return next(iter([*matches, *swapped]), None)


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the standard message for an unknown name, with the closest known one."""
    names = sorted(known)
    near = nearest(name, names)
    guess = f" Did you mean {near!r}?" if near else ""
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"Unknown {what} {name!r}.{guess} Expected one of: {shown}."


def is_disk_full(error: OSError) -> bool:
    """Tell whether the disk, or the user's share of it, has no space left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
