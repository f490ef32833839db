"""Findings about the masks of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foveal.data.findings import SHOWN, about, finding, plural
from foveal.data.masks.meaning import FOREGROUND, WHITE
from foveal.data.masks.pairs import MaskPairs
from foveal.data.masks.scan import MaskLook
from foveal.data.masks.values import MaskValues
from foveal.data.source import Sample
from foveal.types import BACKGROUND, IGNORED, Finding, Severity


def pair_findings(pairs: MaskPairs) -> Iterator[Finding]:
    """Yield the findings from file names: pictures without masks, masks without pictures."""
    missing = [name for name, mask in pairs.masks.items() if mask is None]
    severity: Severity = "error" if len(missing) == len(pairs.masks) else "warning"
    words = f"without a mask, such as {_first(missing)}."
    hint = "name a mask after its picture: images/a.jpg and masks/a.png or masks/a_mask.png"
    yield from about(missing, "masks.missing", severity, "picture", words, hint=hint)
    words = f"without a picture, such as {_first(pairs.alone)}."
    hint = "name a mask after its picture, or remove it"
    yield from about(pairs.alone, "masks.without_picture", "warning", "mask", words, hint=hint)
    words = (
        f"left out: further channels, such as {_first(pairs.channels)}. Only channel 0000 is read."
    )
    hint = "write up to three channels into one RGB picture"
    yield from about(pairs.channels, "masks.channels", "warning", "file", words, hint=hint)
    words = (
        f"left out, because no folder of masks belongs to them, such as {_first(pairs.outside)}."
    )
    yield from about(pairs.outside, "data.passed_over", "info", "picture", words)


def _first(names: Sequence[str]) -> str:
    return names[0] if names else ""


def unreadable(looks: Sequence[MaskLook]) -> tuple[Finding, ...]:
    """Return the finding about masks that cannot be decoded, if there are any."""
    bad = {look.sample: look.problem for look in looks if look.count is None}
    words = f"cannot be read. {next(iter(bad.values()), '')}"
    hint = "replace the file, or remove its picture"
    return about(list(bad), "masks.unreadable", "error", "mask", words, hint=hint)


def size_mismatch(looks: Sequence[MaskLook]) -> list[Finding]:
    """Return the finding about masks of another size than their picture, if there are any."""
    bad = [look for look in looks if not fits(look)]
    if not bad:
        return []
    first = bad[0]
    message = (
        f"{plural(len(bad), 'mask')} of another size than the picture: {first.mask} has "
        f"{_size(first.count and first.count.size)} and {first.sample} "
        f"{_size(first.picture_size)} pixels."
    )
    hint = "save the mask at the picture's size, resized with nearest-neighbour interpolation"
    if first.count and first.picture_size and first.count.size == first.picture_size[::-1]:
        hint = (
            "the picture may be rotated by its EXIF orientation and the mask not: rotate the "
            f"mask, or remove the EXIF orientation: exiftool -Orientation= {first.sample}"
        )
    return [_about(bad, "masks.size_mismatch", message, hint)]


def fits(look: MaskLook) -> bool:
    """Return whether a mask has the size of its picture, as far as both are known."""
    if look.count is None or look.picture_size is None:
        return True
    return look.count.size == look.picture_size


def unknown_values(
    looks: Sequence[MaskLook], values: MaskValues, names_file: str | None
) -> list[Finding]:
    """Return the finding about values that no class stands for, if there are any."""
    bad = [(look, unknown) for look in looks if (unknown := unknown_in(look, values))]
    if not bad or names_file is None:
        return []
    first, (value, *_) = bad[0]
    pixels = first.count.pixels[value] if first.count else 0
    message = (
        f"{plural(len(bad), 'mask')} with values that {names_file} does not name: {first.mask} "
        f"contains {values.shown(value)} in {plural(pixels, 'pixel')}."
    )
    line = f"{values.shown(value)} NAME"
    if names_file.lower().endswith(".json"):
        line = f'"NAME": {value}' if values.kind == "ids" else f'"{values.shown(value)}": "NAME"'
    hint = f"name it in {names_file}: `{line}` (`ignore` for pixels of unknown class)"
    return [_about([look for look, _ in bad], "masks.unknown_value", message, hint)]


def ignored_white(
    looks: Sequence[MaskLook], values: MaskValues, *, is_named: bool
) -> Iterator[Finding]:
    """Yield the finding about masks of two values, of which ids in other masks make one ignored.

    Where 255 means what is not known, it stands beside ids in most masks.

    Args:
        looks: At all masks.
        values: Meaning of the masks' values.
        is_named: Whether a file names the values.
    """
    if is_named or values.kind == "colors" or values.names.get(WHITE, "") is not None:
        return
    white = [look for look in looks if look.count and WHITE in look.count.pixels]
    bare = [look for look in white if look.count and look.count.pixels.keys() <= {0, WHITE}]
    if 2 * len(bare) <= len(white):
        return
    other, value = next(
        (look.mask, value)
        for look in looks
        for value in (look.count.pixels if look.count else ())
        if value not in (0, WHITE)
    )
    words = (
        f"of only 0 and {WHITE}, where {WHITE} is ignored, because other masks contain ids: "
        f"{other} contains {value}."
    )
    hint = (
        f"correct the masks with other values, or write classes.txt: `0 {BACKGROUND}`, "
        f"`{WHITE} {FOREGROUND}`, and a line for each other value"
    )
    samples = [look.sample for look in bare]
    yield from about(samples, "masks.ignored_white", "warning", "mask", words, hint=hint)


def unknown_in(look: MaskLook, values: MaskValues) -> list[int]:
    """Return the values in a mask that stand for nothing."""
    pixels = look.count.pixels if look.count else {}
    return [value for value in pixels if value not in values.names]


def content_findings(
    samples: Sequence[Sample], looks: Sequence[MaskLook], values: MaskValues
) -> Iterator[Finding]:
    """Yield the findings about the contents: share of each class, and empty masks.

    Args:
        samples: All of the source.
        looks: At the masks that can be used.
        values: Meaning of the masks' values.
    """
    empty = [sample.id for sample in samples if sample.raw == (BACKGROUND,)]
    if len(values.classes) > 1:
        words = "with nothing but background; they are trained on as empty masks."
        yield from about(empty, "masks.empty", "info", "mask", words)
    useless = [look.sample for look in looks if not classes_in(look, values)]
    words, hint = "in which every pixel is ignored.", "remove the picture, or draw its mask"
    yield from about(useless, "masks.ignored", "warning", "mask", words, hint=hint)
    rare = [value for value, name in values.names.items() if name is None]
    if rare and values.kind == "colors":
        concerned = [
            k.sample for k in looks if k.count and not k.count.pixels.keys().isdisjoint(rare)
        ]
        if concerned:
            shown = ", ".join(values.shown(value) for value in rare[:SHOWN])
            message = f"Pixels of {plural(len(rare), 'colour')} are ignored: {shown}."
            yield finding("masks.ignored_colors", "info", message, concerned)
    if looks:
        yield _shares(looks, values)


def classes_in(look: MaskLook, values: MaskValues) -> tuple[str, ...]:
    """Return the names of the classes that occur in a mask, in the order of all classes."""
    present = {values.names.get(value) for value in (look.count.pixels if look.count else ())}
    return tuple(name for name in values.classes if name in present)


def class_pixels(looks: Sequence[MaskLook], values: MaskValues) -> tuple[int, ...]:
    """Return the pixels of each class in all masks, and last those that are ignored."""
    totals = [0] * (len(values.classes) + 1)
    for look in looks:
        for value, pixels in (look.count.pixels if look.count else {}).items():
            at = values.positions[value]
            totals[-1 if at == IGNORED else at] += pixels
    return tuple(totals)


def _shares(looks: Sequence[MaskLook], values: MaskValues) -> Finding:
    *pixels, ignored = class_pixels(looks, values)
    total = sum(pixels) + ignored
    seen = dict.fromkeys(values.classes, 0)
    for look in looks:
        for name in classes_in(look, values):
            seen[name] += 1
    parts = [
        f"{name} {_percent(count / total)} in {seen[name]:,}"
        for name, count in zip(values.classes, pixels, strict=True)
    ]
    # Said once: what the shares are of, and what the pictures are.
    name, count = values.classes[0] if values.classes else "", pixels[0] if pixels else 0
    if parts:
        shown = plural(seen[name], "picture")
        parts[0] = f"{name} {_percent(count / total)} of all pixels in {shown}"
    more = [f"{len(parts) - SHOWN} more classes"] if len(parts) > SHOWN else []
    rest = [f"ignored {_percent(ignored / total)}"] if ignored else []
    message = ", ".join((*parts[:SHOWN], *more, *rest)) + "."
    return finding("masks.classes", "info", message, count=len(looks))


def _percent(share: float) -> str:
    return "under 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _size(size: tuple[int, int] | None) -> str:
    return f"{size[1]} x {size[0]}" if size else "none"


def _about(looks: Sequence[MaskLook], id: str, message: str, hint: str) -> Finding:
    return finding(id, "error", message, [look.sample for look in looks], hint=hint)
