"""Read the values of `bundle.json` one by one; each raises when it is not as documented.

The documentation is docs/bundle-format.md. Callers turn ValueError, TypeError and KeyError into a
BundleError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from foveal.data.decode import DecodeLimits
from foveal.types import MOST_OFFSET, NEVER_SURE, Calibration, JsonObject, TensorSpec

# What training fits is in [0.02, 50]. Logits divided by less are no longer numbers of 32 bits.
_TEMPERATURES = (1e-6, 1e6)
# Whole numbers above are not the same to every reader of JSON.
_MOST = 1 << 53
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHARES = ("stated_accuracy", "coverage", "shown_accuracy", "wanted_accuracy")


def text(data: Mapping[str, Any], key: str) -> str:
    """Return the string under a key."""
    return _string(data[key], key)


def mapping(data: Mapping[str, Any], key: str) -> JsonObject:
    """Return the object under a key."""
    value = data[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be an object, received {value!r:.80}")
    return dict(value)


def labels(value: Any) -> tuple[str, ...]:
    """Return the labels: distinct strings, at least one."""
    names = tuple(_string(name, "each of labels") for name in _list(value, "labels"))
    if not names or len(set(names)) != len(names):
        raise ValueError("labels must be distinct and not empty")
    return names


def outputs(value: Any) -> tuple[TensorSpec, ...]:
    """Return what the network gives."""
    specs = []
    for entry in _list(value, "outputs"):
        name, dtype = text(entry, "name"), entry["dtype"]
        shape = tuple(_list(entry["shape"], "shape"))
        if dtype not in ("uint8", "float32"):
            raise ValueError(f"outputs must be uint8 or float32 tensors, received {dtype!r:.80}")
        for size in shape:
            if size is not None:
                _integer(size, f"the shape of {name}", least=1)
        specs.append(TensorSpec(name, dtype, shape))
    if not specs or len({spec.name for spec in specs}) != len(specs):
        raise ValueError("outputs must be distinct and not empty")
    return tuple(specs)


def calibration(data: JsonObject, classes: int) -> Calibration:
    """Return the calibration.

    Args:
        data: As it stands in the file.
        classes: Number of labels.
    """
    read: dict[str, Any] = {
        "temperature": _number(data["temperature"], "the temperature", *_TEMPERATURES)
    }
    if unknown := set(data) - {f.name for f in fields(Calibration)}:
        raise ValueError(f"unknown keys in calibration: {sorted(unknown)}")
    if "unsure_below" in data and data["unsure_below"] != NEVER_SURE:
        read["unsure_below"] = _number(data["unsure_below"], "unsure_below", 0, 1)
    elif "unsure_below" in data:
        read["unsure_below"] = NEVER_SURE
    for name, one in _PER_LABEL.items():
        given = _list(data.get(name, []), name)
        if len(given) not in (0, classes):
            raise ValueError(
                f"{name} must have one value for each of {classes} labels, received {len(given)}"
            )
        read[name] = tuple(one(value, f"each of {name}") for value in given)
    for name in _SHARES:
        if data.get(name) is not None:
            read[name] = _number(data[name], name, 0, 1)
    if data.get("pictures") is not None:
        read["pictures"] = _integer(data["pictures"], "pictures", least=0)
    if data.get("not_usable") is not None:
        read["not_usable"] = text(data, "not_usable")
    return Calibration(**read)


def metrics(data: JsonObject) -> dict[str, dict[str, float | None]]:
    """Return the metrics: name → value, low and high, each a number or None."""
    for name in data:
        if not {"value"} <= set(mapping(data, name)) <= {"value", "low", "high"}:
            raise ValueError(f"the metric {name} must have value, low and high")
    return {name: numbers(mapping(data, name), name) for name in data}


def numbers(data: JsonObject, name: str) -> dict[str, float | None]:
    """Return an object of numbers, or None where one is undefined."""
    return {
        key: None if value is None else _number(value, f"{key} of {name}")
        for key, value in data.items()
    }


def baseline(value: Any) -> JsonObject:
    """Return what the best constant answer gets, or the empty object of older bundles."""
    if value == {}:
        return {}
    checked = mapping({"baseline": value}, "baseline")
    text(checked, "answer")
    if not isinstance(checked["is_beaten"], bool):
        raise TypeError(f"is_beaten must be true or false, received {checked['is_beaten']!r:.80}")
    numbers(mapping(checked, "metrics"), "baseline")
    numbers(mapping(checked, "difference"), "baseline")
    return checked


def licences(value: Any) -> tuple[JsonObject, ...]:
    """Return one object for each set of foreign weights."""
    return tuple(
        mapping({"each of licences": entry}, "each of licences")
        for entry in _list(value, "licences")
    )


def files(data: JsonObject) -> dict[str, str]:
    """Return file name → sha256."""
    for name in data:
        if not _SHA256.fullmatch(text(data, name)):
            raise ValueError(f"the sha256 of {name} must be 64 hexadecimal digits")
    return data


def limits(data: Any) -> DecodeLimits:
    """Return the largest picture that was decoded whole in training."""
    given = mapping({"limits": data}, "limits")
    if set(given) != {"max_bytes", "max_pixels"}:
        raise ValueError(f"limits must be max_pixels and max_bytes, received {data!r:.80}")
    for name, value in given.items():
        _integer(value, f"{name} of limits", least=1)
    return DecodeLimits(max_bytes=given["max_bytes"], max_pixels=given["max_pixels"])


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, received {value!r:.80}")
    return value


def _list(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, received {value!r:.80}")
    return value


def _number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name} must be a number, received {value!r:.80}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:g} to {high:g}, received {value!r:.80}")
    return float(value)


def _integer(value: Any, name: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _MOST:
        raise ValueError(f"{name} must be a whole number from {least}, received {value!r:.80}")
    return value


def _threshold(value: Any, name: str) -> float:
    return _number(value, name, 0, 1)


def _area(value: Any, name: str) -> int:
    return _integer(value, name, least=0)


def _offset(value: Any, name: str) -> float:
    return _number(value, name, -MOST_OFFSET, MOST_OFFSET)


# Values of the calibration that are empty or have one for each label.
_PER_LABEL: dict[str, Callable[[Any, str], Any]] = {
    "thresholds": _threshold,
    "smallest": _area,
    "holes": _area,
    "offsets": _offset,
    "cores": _area,
}
