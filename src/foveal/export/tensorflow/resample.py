"""`foveal.resample` in a graph: the same integers, as docs/bundle-format.md states them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_BITS = 22
_GAP = 3


def resized(pixels: Any, height: Any, width: Any) -> Any:
    """Return a picture scaled to a size, bilinear with antialiasing.

    Args:
        pixels: (H, W, 3) uint8.
        height: Rows of the result, int32.
        width: Columns of the result, int32.
    """
    size = tf.shape(pixels)
    is_there = (size[0] == height) & (size[1] == width)
    return tf.cond(is_there, lambda: pixels, lambda: _scaled(pixels, height, width))


def _scaled(pixels: Any, height: Any, width: Any) -> Any:
    size = tf.shape(pixels)
    cell_h = tf.maximum(1, size[0] // (_GAP * height))
    cell_w = tf.maximum(1, size[1] // (_GAP * width))
    end_h = tf.cast(size[0], tf.float64) / tf.cast(cell_h, tf.float64)
    end_w = tf.cast(size[1], tf.float64) / tf.cast(cell_w, tf.float64)
    has_cells = (cell_h > 1) | (cell_w > 1)
    pixels = tf.cond(has_cells, lambda: _reduced(pixels, cell_h, cell_w), lambda: pixels)
    size = tf.shape(pixels)
    rows_first = (size[0] > height) & (size[0] - height > 2 * (size[1] - width))

    def columns(given: Any) -> Any:
        return tf.transpose(_filtered(tf.transpose(given, [1, 0, 2]), end_w, width), [1, 0, 2])

    def rows(given: Any) -> Any:
        return _filtered(given, end_h, height)

    return tf.cond(rows_first, lambda: columns(rows(pixels)), lambda: rows(columns(pixels)))


def _reduced(pixels: Any, cell_h: Any, cell_w: Any) -> Any:
    """Return the mean of each cell; those at the right and at the bottom may be partial."""
    size = tf.shape(pixels)
    rows, columns = -(-size[0] // cell_h), -(-size[1] // cell_w)
    # Rows outside the picture add nothing to a sum.
    missing = [[0, rows * cell_h - size[0]], [0, columns * cell_w - size[1]], [0, 0]]
    whole = tf.cast(tf.pad(pixels, missing), tf.int32)
    sums = tf.reduce_sum(tf.reshape(whole, [rows, cell_h, columns * cell_w * 3]), axis=1)
    sums = tf.reduce_sum(tf.reshape(sums, [rows, columns, cell_w, 3]), axis=2)
    heights = tf.minimum(cell_h, size[0] - tf.range(rows) * cell_h)
    widths = tf.minimum(cell_w, size[1] - tf.range(columns) * cell_w)
    counts = tf.cast(heights[:, tf.newaxis] * widths, tf.int64)[..., tf.newaxis]
    means = (tf.cast(sums, tf.int64) + counts // 2) * (2**24 // counts)
    return tf.cast(tf.bitwise.right_shift(means, tf.constant(24, tf.int64)), tf.uint8)


def _filtered(pixels: Any, end: Any, length: Any) -> Any:
    """Filter along the first axis, whose content ends at `end`, to `length` rows."""
    size = tf.shape(pixels)[0]
    first, weights = _weights(size, end, length)

    def add(k: Any, total: Any) -> tuple[Any, Any]:
        rows = tf.cast(tf.gather(pixels, tf.minimum(first + k, size - 1)), tf.int32)
        return k + 1, total + rows * weights[k][:, tf.newaxis, tf.newaxis]

    shape = tf.concat([tf.reshape(length, [1]), tf.shape(pixels)[1:]], 0)
    count = tf.shape(weights)[0]
    _, total = tf.while_loop(
        lambda k, _: k < count,
        add,
        (tf.constant(0), tf.fill(shape, 1 << (_BITS - 1))),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, 3])),
        parallel_iterations=1,
    )
    return tf.cast(tf.minimum(tf.bitwise.right_shift(total, _BITS), 255), tf.uint8)


def _weights(size: Any, end: Any, length: Any) -> tuple[Any, Any]:
    """Return the first pixel that each result sees, (m,), and the weights from there, (K, m)."""
    # Divided and rounded as stated there: float32 for the end, float64 for all else.
    extent = tf.cast(tf.cast(end, tf.float32), tf.float64)
    scale = extent / tf.cast(length, tf.float64)
    support = tf.maximum(scale, 1.0)
    centres = (tf.cast(tf.range(length), tf.float64) + 0.5) * scale
    first = tf.maximum(0, tf.cast(centres - support + 0.5, tf.int32))
    last = tf.minimum(size, tf.cast(centres + support + 0.5, tf.int32))
    pixels = first + tf.range(tf.reduce_max(last - first))[:, tf.newaxis]
    distances = tf.abs((tf.cast(pixels, tf.float64) - centres + 0.5) * (1 / support))
    zero = tf.constant(0, tf.float64)
    shares = tf.where(pixels < last, tf.maximum(1 - distances, zero), zero)
    # Along this axis numbers are added one after the other.
    totals = tf.cumsum(shares, axis=0)[-1]
    return first, tf.cast(shares / totals * float(1 << _BITS) + 0.5, tf.int32)
