"""Decode and pre-process pictures in a TensorFlow graph, as `foveal.pipeline` does.

JPEG and PNG files, and standard or web-safe base64 text of them. What cannot be decoded as foveal
decodes it is an error of the request, never another picture.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from foveal.export.tensorflow.exif import jpeg_orientation, occurrences, png_orientation
from foveal.export.tensorflow.resample import resized
from foveal.pipeline import Pipeline

_BASE64 = r"[A-Za-z0-9+/_\-\s]+=*\s*"
_SIXTEEN = 257


def model_input(data: Any, pipeline: Pipeline, max_pixels: int) -> Any:
    """Return the model input, (H, W, 3) uint8 RGB, of one picture.

    Args:
        data: A scalar string.
        pipeline: Not `tile`, and without steps.
        max_pixels: Pixels of the largest picture that is decoded.
    """
    pixels, height, width = decoded(_bytes(data), pipeline, max_pixels)
    pixels.set_shape([None, None, 3])
    return _fitted(pixels, height, width, pipeline)


def decoded(data: Any, pipeline: Pipeline, max_pixels: int) -> tuple[Any, Any, Any]:
    """Return upright RGB pixels, perhaps scaled down, and the height and width of the file.

    Args:
        data: A scalar string, the file.
        pipeline: Says how small a JPEG may be decoded.
        max_pixels: Pixels of the largest picture that is decoded.
    """
    head = tf.strings.substr(data, 0, 3)
    is_jpeg = head == b"\xff\xd8\xff"
    known = tf.debugging.Assert(
        is_jpeg | (head == b"\x89PN"), ["Expected a JPEG or PNG picture, or base64 text of one."]
    )
    with tf.control_dependencies([known]):
        pixels, height, width = tf.cond(
            is_jpeg,
            lambda: _jpeg(data, pipeline, max_pixels),
            lambda: _png(data, max_pixels),
        )
    return pixels, height, width


def _bytes(data: Any) -> Any:
    """Decode base64 text; a picture file never consists of its characters alone."""

    def decoded() -> Any:
        text = tf.strings.regex_replace(data, r"[\s=]", "")
        for standard, safe in (("\\+", "-"), ("/", "_")):
            text = tf.strings.regex_replace(text, standard, safe)
        return tf.io.decode_base64(text)

    return tf.cond(tf.strings.regex_full_match(data, _BASE64), decoded, lambda: data)


def _check_size(height: Any, width: Any, max_pixels: int) -> Any:
    count = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    return tf.debugging.Assert(
        count <= max_pixels, ["The picture is larger than", max_pixels, "pixels."]
    )


def _jpeg(data: Any, pipeline: Pipeline, max_pixels: int) -> tuple[Any, Any, Any]:
    """Return the upright pixels, perhaps of a smaller picture, and the original's size."""
    shape = tf.image.extract_jpeg_shape(data)
    has_channels = tf.debugging.Assert(
        (shape[2] == 1) | (shape[2] == 3), ["Expected a JPEG in grey or colour, not CMYK."]
    )
    orientation = jpeg_orientation(tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32))
    swaps = orientation >= 5
    height = tf.where(swaps, shape[1], shape[0])
    width = tf.where(swaps, shape[0], shape[1])
    rows, columns = pipeline.decode_size or (1, 1)

    def fits(factor: int) -> Any:
        return (height // factor >= 2 * rows) & (width // factor >= 2 * columns)

    choice = tf.where(fits(8), 3, tf.where(fits(4), 2, tf.where(fits(2), 1, 0)))
    with tf.control_dependencies([has_channels, _check_size(height, width, max_pixels)]):
        pixels = tf.switch_case(choice, [_jpeg_at(data, factor) for factor in (1, 2, 4, 8)])
    return _upright(pixels, orientation), height, width


def _jpeg_at(data: Any, factor: int) -> Any:
    def decode() -> Any:
        # The accurate transform: the default one differs by up to 16 grey levels.
        return tf.io.decode_jpeg(
            data, 3, ratio=factor, fancy_upscaling=True, dct_method="INTEGER_ACCURATE"
        )

    return decode


def _png(data: Any, max_pixels: int) -> tuple[Any, Any, Any]:
    content = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32)
    place = tf.constant([1 << 24, 1 << 16, 1 << 8, 1])
    width, height = (tf.reduce_sum(content[at : at + 4] * place) for at in (16, 20))
    depth, kind = content[24], content[25]
    # Of pictures without transparency, the decoder's alpha is wrong below 8 bits a channel.
    before = tf.cumsum(tf.cast(occurrences(content, b"IDAT"), tf.int32)) == 0
    is_listed = tf.reduce_any(occurrences(content, b"tRNS") & before)
    has_alpha = (kind >= 4) | is_listed
    with tf.control_dependencies([_check_size(height, width, max_pixels)]):
        pixels = tf.cond(
            (depth == 16) & (kind == 0),
            lambda: _deep_grey(data),
            lambda: tf.cond(
                has_alpha, lambda: _over_white(data), lambda: tf.io.decode_png(data, 3)
            ),
        )
    pixels = _upright(pixels, png_orientation(content))
    shape = tf.shape(pixels)
    return pixels, shape[0], shape[1]


def _over_white(data: Any) -> Any:
    """Return the pixels of 8 bits a channel, with what is transparent over white."""
    values = tf.cast(tf.io.decode_png(data, 4), tf.int32)
    color, alpha = values[..., :3], values[..., 3:]
    sums = color * alpha + 255 * (255 - alpha) + 128
    return tf.cast(tf.bitwise.right_shift(sums + tf.bitwise.right_shift(sums, 8), 8), tf.uint8)


def _deep_grey(data: Any) -> Any:
    """Return the pixels of a grey picture of 16 bits; white where it is transparent."""
    values = tf.cast(tf.io.decode_png(data, 4, tf.uint16), tf.int32)
    grey = (values[..., :1] + _SIXTEEN // 2) // _SIXTEEN
    return tf.tile(tf.cast(tf.where(values[..., 3:] == 0, 255, grey), tf.uint8), [1, 1, 3])


def _upright(pixels: Any, orientation: Any) -> Any:
    """Turn pixels as they are meant to be seen; see `foveal.data.exif.turn_upright`."""

    def turned() -> Any:
        swapped = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        rows = tf.reduce_any(orientation == [3, 4, 7, 8])
        columns = tf.reduce_any(orientation == [2, 3, 6, 7])
        swapped = tf.cond(rows, lambda: swapped[::-1], lambda: swapped)
        return tf.cond(columns, lambda: swapped[:, ::-1], lambda: swapped)

    return tf.cond(orientation == 1, lambda: pixels, turned)


def _fitted(pixels: Any, height: Any, width: Any, pipeline: Pipeline) -> Any:
    """Scale to where the original, of (height, width) pixels, lies in the input, and fill."""
    rows, columns = tf.cast(height, tf.float64), tf.cast(width, tf.float64)
    if pipeline.fit == "stretch":
        return _sized(resized(pixels, pipeline.height, pipeline.width), pipeline)
    if pipeline.fit == "line":
        new_w = _rounded(columns * pipeline.height / rows)
        short = tf.debugging.Assert(
            new_w <= pipeline.width, ["The picture is too wide for its height: ", width, height]
        )
        with tf.control_dependencies([short]):
            scaled = resized(pixels, pipeline.height, new_w)
        padded = pipeline.width_step * -(-new_w // pipeline.width_step)
        return _sized(_filled(scaled, [[0, 0], [0, padded - new_w]], pipeline), pipeline)
    choose = tf.minimum if pipeline.fit == "pad" else tf.maximum
    scale = choose(pipeline.height / rows, pipeline.width / columns)
    new_h, new_w = _rounded(rows * scale), _rounded(columns * scale)
    scaled = resized(pixels, new_h, new_w)
    top, left = (pipeline.height - new_h) // 2, (pipeline.width - new_w) // 2
    if pipeline.fit == "crop":
        scaled = scaled[-top : -top + pipeline.height, -left : -left + pipeline.width]
        return _sized(scaled, pipeline)
    below, right = pipeline.height - new_h - top, pipeline.width - new_w - left
    return _sized(_filled(scaled, [[top, below], [left, right]], pipeline), pipeline)


def _rounded(number: Any) -> Any:
    return tf.maximum(1, tf.cast(tf.round(number), tf.int32))


def _filled(pixels: Any, amounts: Any, pipeline: Pipeline) -> Any:
    color = tf.constant(pipeline.pad_color, tf.int16)
    around = tf.pad(tf.cast(pixels, tf.int16) - color, [*amounts, [0, 0]])
    return tf.cast(around + color, tf.uint8)


def _sized(pixels: Any, pipeline: Pipeline) -> Any:
    return tf.ensure_shape(
        pixels, [pipeline.height, None if pipeline.is_ragged else pipeline.width, 3]
    )
