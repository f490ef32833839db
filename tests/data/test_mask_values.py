"""What masks mean is found exactly, whatever they are saved as; what cannot be known is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.masks.file import MaskFile, decode_mask
from foveal.data.masks.meaning import find_values
from foveal.data.masks.names import MaskNames, parse_names
from foveal.data.masks.values import MaskCount, MaskValues, count_values
from foveal.errors import DataError, ImageError, ImageFormatError, ImageTooLargeError
from foveal.types import IGNORED

LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)
RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


def ids_of(*values: int) -> MaskFile:
    """Return a mask with a row of 8 pixels for each value."""
    return MaskFile(np.repeat(np.array(values, np.uint16)[:, None], 8, axis=1))


def colors_of(*colors: tuple[int, int, int]) -> MaskFile:
    return MaskFile(np.repeat(np.array(colors, np.uint8)[:, None], 8, axis=1))


def found(*files: MaskFile, names: MaskNames | None = None) -> MaskValues:
    as_colors = names is not None and names.are_colors
    return find_values(
        [count_values(f"{i}.png", file, as_colors=as_colors) for i, file in enumerate(files)], names
    )


def rows(values: MaskValues, file: MaskFile) -> list[int]:
    """Return the position found in each row of a mask by `ids_of` or `colors_of`."""
    mask = values.apply("a.png", file)
    assert mask.dtype == np.uint8
    assert (mask == mask[:, :1]).all()
    return [int(value) for value in mask[:, 0]]


def encoded(image: PILImage.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(image: PILImage.Image, kind: str = "PNG", **options: object) -> MaskFile:
    return decode_mask(encoded(image, kind, **options), LIMITS)


@pytest.mark.parametrize(
    ("values", "described"),
    [
        ((0, 255), "0 → background, 255 → foreground"),
        ((255,), "0 → background, 255 → foreground"),
        ((0,), "0 → background, 1 → foreground"),
        ((0, 1), "0 → background, 1 → foreground"),
        ((1,), "0 → background, 1 → foreground"),
        # 16-bit white.
        ((0, 65535), "0 → background, 65535 → foreground"),
        # White among ids is what nobody knows.
        ((0, 1, 255), "0 → background, 1 → foreground, 255 → ignored"),
        ((0, 1, 2), "0 → background, 1 → class_1, 2 → class_2"),
        # Numbers that never occur get no class, and neither does a background that is not there.
        ((3, 7), "3 → class_3, 7 → class_7"),
        ((0, 2, 255), "0 → background, 2 → class_2, 255 → ignored"),
        ((0, 300), "0 → background, 300 → class_300"),
    ],
)
def test_ids_are_understood(values: tuple[int, ...], described: str) -> None:
    assert found(ids_of(*values)).describe() == described


def test_white_is_the_second_class_and_never_class_255() -> None:
    values = found(ids_of(0), ids_of(0, 255))
    assert values.classes == ("background", "foreground")
    assert rows(values, ids_of(0, 255)) == [0, 1]


def test_white_among_ids_is_ignored() -> None:
    values = found(ids_of(0, 1), ids_of(2, 255))
    assert values.classes == ("background", "class_1", "class_2")
    assert rows(values, ids_of(2, 255, 0)) == [2, IGNORED, 0]


def test_the_values_of_all_masks_count_together() -> None:
    """One mask of 0 and 1 alone would be background and foreground."""
    assert found(ids_of(0, 1), ids_of(0, 2)).classes == ("background", "class_1", "class_2")


def test_a_foreground_of_1_here_and_255_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"0\.png contains 1, 1\.png 255") as error:
        found(ids_of(0, 1), ids_of(0, 255))
    assert "255 foreground" in str(error.value.hint)


def test_colors_are_classes_and_black_is_background() -> None:
    values = found(colors_of(BLACK, RED), colors_of(GREEN, BLACK))
    assert values.describe() == "#000000 → background, #00ff00 → #00ff00, #ff0000 → #ff0000"
    assert rows(values, colors_of(RED, BLACK, GREEN)) == [2, 0, 1]


def test_colors_without_black_have_no_background() -> None:
    assert found(colors_of(RED, GREEN)).classes == ("#00ff00", "#ff0000")


def test_a_color_of_a_few_stray_pixels_is_ignored() -> None:
    file = colors_of(BLACK, RED)
    file.values[0, :3] = (255, 0, 1)
    values = found(file)
    assert values.classes == ("background", "#ff0000")
    assert values.names[0xFF0001] is None
    assert values.apply("a.png", file)[0].tolist() == [IGNORED] * 3 + [0] * 5


def test_a_grey_color_file_holds_ids() -> None:
    values = found(colors_of((0, 0, 0), (255, 255, 255)))
    assert values.describe() == "0 → background, 255 → foreground"
    assert rows(values, colors_of((255, 255, 255), (0, 0, 0))) == [1, 0]
    # The same data set may hold both kinds of files.
    assert rows(values, ids_of(255, 0)) == [1, 0]


def test_a_black_grey_file_among_colors_is_background() -> None:
    values = found(colors_of(BLACK, RED), ids_of(0))
    assert rows(values, ids_of(0)) == [0]


def test_ids_among_colors_are_refused() -> None:
    with pytest.raises(DataError, match=r"1\.png contains ids, 0\.png colours"):
        found(colors_of(BLACK, RED), ids_of(0, 3))


def test_254_ids_are_classes_and_more_are_refused() -> None:
    assert len(found(ids_of(*range(254))).classes) == 254
    with pytest.raises(DataError, match=r"more than 254 ids \(up to 0.png\)") as error:
        found(ids_of(*range(256), 300))
    assert "ids > 0" in str(error.value.hint)
    with pytest.raises(DataError, match="more than 254 ids"):
        found(ids_of(*range(200)), ids_of(*range(1000, 1100)))


def test_a_photograph_is_no_mask() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with pytest.raises(DataError, match=r"more than 64 colours \(up to 0.png\)"):
        found(MaskFile(noise))
    few = colors_of(*((i, 0, 0) for i in range(65)))
    with pytest.raises(DataError, match="more than 64 colours"):
        found(few)


def test_a_smeared_jpeg_names_the_file_and_the_fix() -> None:
    drawn = PILImage.new("L", (32, 32))
    drawn.paste(255, (5, 5, 19, 23))
    with pytest.raises(DataError, match=r"m\.jpg is lossy") as error:
        count_values("m.jpg", decoded(drawn, "JPEG", quality=60))
    assert "as PNG" in str(error.value.hint)


def test_a_jpeg_of_one_value_is_understood() -> None:
    file = decoded(PILImage.new("L", (16, 16), 255), "JPEG")
    assert found(file).describe() == "0 → background, 255 → foreground"


def test_smooth_edges_of_two_classes_are_refused() -> None:
    pixels = np.zeros((100, 100), np.uint8)
    pixels[50:] = 255
    pixels[50, :60] = np.arange(60) * 4
    with pytest.raises(DataError, match=r"0, 255 and 59 values between, in 0\.6 % of the pixels"):
        found(MaskFile(pixels))


def test_a_value_that_stands_for_nothing_is_an_error() -> None:
    values = found(ids_of(0, 1, 2))
    with pytest.raises(ImageError, match=r"b\.png contains 9, which is not a known class"):
        values.apply("b.png", ids_of(0, 9))
    with pytest.raises(ImageError, match=r"b\.png contains #ff0000"):
        values.apply("b.png", colors_of(BLACK, RED))


def test_a_long_mapping_is_cut_short_in_words() -> None:
    assert found(ids_of(*range(20))).describe().endswith("11 → class_11, … 8 more")


@settings(deadline=None)
@given(
    st.lists(
        st.integers(0, 70_000).filter(lambda v: v != 255), min_size=3, max_size=12, unique=True
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_ids_are_recovered(ids: list[int], seed: int) -> None:
    label_map = np.random.default_rng(seed).integers(0, len(ids), (16, 16))
    label_map.ravel()[: len(ids)] = range(len(ids))
    mask = np.array(ids, np.uint32)[label_map]
    values = find_values([count_values("a.npy", MaskFile(mask))], None)
    positions = values.apply("a.npy", MaskFile(mask))
    order = np.argsort(np.argsort(ids))
    assert np.array_equal(positions, order[label_map])
    assert values.classes == tuple(f"class_{v}" if v else "background" for v in sorted(ids))


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=10, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_any_colors_are_recovered_from_a_png(colors: list[tuple[int, int, int]], seed: int) -> None:
    colors = [*colors, (1, 2, 3)] if (1, 2, 3) not in colors else colors
    label_map = np.random.default_rng(seed).integers(0, len(colors), (16, 16))
    label_map[: len(colors), :4] = np.arange(len(colors))[:, None]
    file = decoded(PILImage.fromarray(np.array(colors, np.uint8)[label_map]))
    values = find_values([count_values("a.png", file)], None)
    order = np.argsort(np.argsort([r << 16 | g << 8 | b for r, g, b in colors]))
    assert np.array_equal(values.apply("a.png", file), order[label_map])


@settings(deadline=None)
@given(st.permutations(range(8)), st.integers(0, 2**32 - 1))
def test_any_palette_keeps_its_positions(order: list[int], seed: int) -> None:
    """What the colours of a palette are does not matter."""
    label_map = np.random.default_rng(seed).integers(0, 8, (16, 16)).astype(np.uint8)
    image = PILImage.fromarray(label_map)
    image.putpalette([channel for i in order for channel in (i * 30, 255 - i, i)])
    file = decoded(image)
    assert np.array_equal(file.values, label_map)
    assert file.palette is not None
    assert file.palette[1].tolist() == [order[1] * 30, 255 - order[1], order[1]]


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_bits_are_0_and_1(kind: str) -> None:
    drawn = PILImage.fromarray(np.eye(9, dtype=np.uint8) * 255).convert("1")
    assert np.array_equal(decoded(drawn, kind).values, np.eye(9))


def test_deep_grey_keeps_its_values() -> None:
    ids = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    assert np.array_equal(decoded(PILImage.fromarray(ids)).values, ids)


def grey_png(depth: int, values: NDArray[np.uint8]) -> bytes:
    """Return a grey PNG of 2 or 4 bits: written by hand, as the usual writers cannot."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = values.shape
    bits = np.unpackbits(values[:, :, None], axis=2)[:, :, 8 - depth :].reshape(height, -1)
    lines = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b""))
    )


@pytest.mark.parametrize("depth", [2, 4])
def test_grey_of_few_bits_is_not_scaled(depth: int) -> None:
    """Decoders of pictures make 85, 170 and 255 of the ids 1, 2 and 3."""
    ids = (np.arange(48, dtype=np.uint8) % 2**depth).reshape(6, 8)
    assert np.array_equal(decode_mask(grey_png(depth, ids), LIMITS).values, ids)


def test_alpha_is_dropped_and_an_empty_layer_is_black() -> None:
    layer = PILImage.new("RGBA", (4, 2), (9, 9, 9, 0))
    layer.paste((255, 0, 0, 255), (0, 0, 2, 2))
    values = decoded(layer).values
    assert values[0].tolist() == [[255, 0, 0]] * 2 + [[0, 0, 0]] * 2
    with pytest.raises(ImageFormatError, match="half-transparent"):
        decoded(PILImage.new("RGBA", (4, 2), (255, 0, 0, 128)))


def test_a_mask_is_turned_by_its_own_exif() -> None:
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = PILImage.Exif()
    exif[0x0112] = 6
    turned = decoded(PILImage.fromarray(ids), exif=exif)
    assert turned.values.tolist() == [[3, 0], [4, 1], [5, 2]]


def array_file(values: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def test_an_array_of_ids_is_a_mask() -> None:
    ids = np.arange(12, dtype=np.int64).reshape(3, 4)
    assert np.array_equal(decode_mask(array_file(ids), LIMITS).values, ids)
    assert decode_mask(array_file(ids > 4), LIMITS).values.dtype == np.uint8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (array_file(np.zeros((2, 2))), "type float64"),
        (array_file(np.zeros(4, np.uint8)), r"Expected an array \(H, W\)"),
        (array_file(np.full((2, 2), -1)), "contains -1"),
        (array_file(np.zeros((2, 2), np.uint8))[:-1], "cannot be read"),
        (b"\x93NUMPY\x01", "cannot be read"),
        (encoded(PILImage.new("CMYK", (4, 4)), "JPEG"), "CMYK pixels are not a mask"),
        (encoded(PILImage.new("L", (64, 64)))[:60], "cannot be decoded"),
        (b"hello", "Not a picture"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_mask(data, LIMITS)


def test_the_limits_hold_for_masks() -> None:
    large = encoded(PILImage.new("1", (2000, 2000)))
    with pytest.raises(ImageTooLargeError):
        decode_mask(large, LIMITS)


# Names


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("classes.txt", "background\ntumour\n", {0: "background", 1: "tumour"}),
        # A line that is left empty is an id without a class.
        ("classes.txt", "# remark\nbackground\n\ntumour", {0: "background", 2: "tumour"}),
        ("classes.txt", "0 background\n7: fat tissue\n", {0: "background", 7: "fat tissue"}),
        ("classes.txt", "0 background\n9 ignore", {0: "background", 9: None}),
        ("classes.txt", "#FF0000 tumour\n0, 0, 255 vessel", {0xFF: "vessel", 0xFF0000: "tumour"}),
        ("classes.json", '{"background": 0, "tumour": 2}', {0: "background", 2: "tumour"}),
        ("classes.json", '{"0": "background", "2": "tumour"}', {0: "background", 2: "tumour"}),
        ("classes.json", '{"#ff0000": "tumour"}', {0xFF0000: "tumour"}),
        ("classes.json", '{"tumour": [255, 0, 0]}', {0xFF0000: "tumour"}),
        # nnU-Net of today, and of its first version.
        (
            "dataset.json",
            '{"labels": {"background": 0, "cancer": 1, "ignore": 2}}',
            {0: "background", 1: "cancer", 2: None},
        ),
        (
            "dataset.json",
            '{"labels": {"0": "background", "1": "cancer"}}',
            {0: "background", 1: "cancer"},
        ),
    ],
)
def test_names_are_read(file: str, text: str, names: dict[int, str | None]) -> None:
    parsed = parse_names(file, text)
    assert parsed is not None
    assert parsed.names == names


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("classes.txt", "0 background\ntumour", "'tumour' does not name a value"),
        ("classes.txt", "0 background\n#ff0000 tumour", "ids and colours"),
        ("classes.txt", "0 a\n0 b", "names 0 twice"),
        ("classes.txt", "", "no names"),
        ("classes.json", "{", "is not JSON"),
        ("classes.json", "[1]", "Expected an object"),
        ("classes.json", '{"a": 1.5}', "neither 'a' nor 1.5"),
        ("dataset.json", '{"labels": {"whole": [1, 2]}}', "'whole' is the region"),
    ],
)
def test_names_that_cannot_be_understood_are_refused(file: str, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        parse_names(file, text)


def test_a_dataset_json_of_something_else_has_no_names() -> None:
    assert parse_names("dataset.json", '{"version": 3}') is None


def ids_named(*names: str) -> MaskNames:
    return MaskNames("classes.txt", False, dict(enumerate(names)))


def test_named_ids_keep_their_names_whether_they_occur_or_not() -> None:
    values = found(ids_of(0, 2, 255), names=ids_named("background", "fat", "tumour"))
    assert values.classes == ("background", "fat", "tumour")
    assert rows(values, ids_of(2, 0, 255)) == [2, 0, IGNORED]


def test_two_names_fit_masks_of_0_and_255() -> None:
    values = found(ids_of(0, 255), names=ids_named("background", "nucleus"))
    assert values.describe() == "0 → background, 255 → nucleus"


def test_values_of_one_name_are_one_class() -> None:
    names = MaskNames("classes.txt", False, {0: "background", 1: "cell", 255: "cell"})
    values = found(ids_of(0, 1), ids_of(0, 255), names=names)
    assert values.classes == ("background", "cell")
    assert rows(values, ids_of(1, 255)) == [1, 1]


def test_named_colors_find_the_colors_of_a_palette() -> None:
    names = MaskNames("classes.txt", True, {0xFF0000: "tumour"})
    palette = np.array([RED, BLACK], np.uint8)
    file = MaskFile(np.repeat(np.array([[0], [1]], np.uint8), 8, axis=1), palette)
    values = found(file, names=names)
    assert values.classes == ("background", "tumour")
    assert rows(values, file) == [1, 0]


def test_names_of_ids_do_not_fit_colors() -> None:
    with pytest.raises(DataError, match=r"classes\.txt names ids, but 0\.png contains colours"):
        found(colors_of(BLACK, RED), names=ids_named("background", "tumour"))


def test_counts_are_exact_over_many_bands() -> None:
    """A mask is counted and applied in parts of a million pixels."""
    ids = np.zeros((2100, 1000), np.uint8)
    ids[2099] = 3
    count = count_values("a.png", MaskFile(ids))
    assert count.pixels == {0: 2_099_000, 3: 1000}
    assert isinstance(count, MaskCount)
    values = MaskValues("ids", {0: "background", 3: "class_3"})
    assert int(values.apply("a.png", MaskFile(ids)).sum()) == 1000
