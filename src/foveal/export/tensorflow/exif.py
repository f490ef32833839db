"""The EXIF orientation of JPEG and PNG files, read in the graph as `foveal.data.headers` reads it.

All positions are int32: a string of TensorFlow has less than 2 GB.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# As in foveal.data.headers and foveal.data.exif.
_MAX_BLOCKS = 16_384
_MAX_ENTRIES = 512
_MAX_BYTES = 65_536
_ENTRY = 12
# What of an entry is read: tag, kind, length, value.
_READ = 10


def jpeg_orientation(data: Any) -> Any:
    """Return the orientation, 1 to 8, that a JPEG file states: int32.

    Args:
        data: (L,) int32, the bytes of the file.
    """
    size = tf.size(data)

    def proceed(at: Any, _first: Any, _end: Any, steps: Any) -> Any:
        return (at + 4 <= size) & (at >= 0) & (steps < _MAX_BLOCKS)

    def step(at: Any, first: Any, end: Any, steps: Any) -> tuple[Any, ...]:
        byte, marker = data[at], data[at + 1]
        is_marker = (byte == 0xFF) & (marker != 0xFF)
        bare = (marker <= 1) | ((marker >= 0xD0) & (marker <= 0xD8))
        length = data[at + 2] * 256 + data[at + 3]
        is_exif = is_marker & (marker == 0xE1) & _is_at(data, at + 4, b"Exif\0\0")
        is_frame = (marker >= 0xC0) & (marker <= 0xDA) & (marker != 0xC4) & (marker != 0xC8)
        is_frame &= (marker != 0xCC) & ~bare
        after = tf.where(bare, at + 2, at + 2 + tf.maximum(length, 2))
        after = tf.where(is_marker, after, at + 1)
        # The first block decides, and the size of the picture ends the search.
        ends = is_exif | (is_marker & is_frame)
        first = tf.where(is_exif, at + 10, first)
        end = tf.where(is_exif, tf.minimum(at + 2 + length, size), end)
        return tf.where(ends, -1, after), first, end, steps + 1

    start = [tf.constant(number) for number in (2, 0, 0, 0)]
    _, first, end, _ = tf.while_loop(proceed, step, start, parallel_iterations=1)
    return _orientation(data[first : tf.maximum(first, end)])


def png_orientation(data: Any) -> Any:
    """Return the orientation, 1 to 8, that a PNG file states: int32.

    Args:
        data: (L,) int32, the bytes of the file.
    """
    size = tf.size(data)

    def proceed(at: Any, _first: Any, _end: Any, steps: Any) -> Any:
        return (at >= 0) & (at <= size - 8) & (steps < _MAX_BLOCKS)

    def step(at: Any, first: Any, end: Any, steps: Any) -> tuple[Any, ...]:
        length = tf.cast(tf.minimum(_number(data, at, 4, False), tf.int32.max // 2), tf.int32)
        is_exif = _is_at(data, at + 4, b"eXIf")
        first = tf.where(is_exif, at + 8, first)
        end = tf.where(is_exif, at + 8 + tf.minimum(length, size - at - 8), end)
        after = tf.where(length > size, -1, at + 12 + length)
        return tf.where(is_exif, -1, after), first, end, steps + 1

    def search() -> Any:
        start = [tf.constant(number) for number in (8, 0, 0, 0)]
        _, first, end, _ = tf.while_loop(proceed, step, start, parallel_iterations=1)
        return _orientation(data[first:end])

    # Few files have the block, and a large one has thousands of others to walk over.
    there = tf.reduce_any(occurrences(data, b"eXIf"))
    return tf.cond(there, search, lambda: tf.constant(1))


def occurrences(data: Any, word: bytes) -> Any:
    """Return at which positions of a file a word of four letters begins."""
    size = tf.size(data)
    letters = [data[i : size - 3 + i] == letter for i, letter in enumerate(word)]
    return letters[0] & letters[1] & letters[2] & letters[3]


def _is_at(data: Any, at: Any, wanted: bytes) -> Any:
    """Return whether these bytes are at a position, which may be beyond the end."""
    found = data[at : at + len(wanted)]
    same = tf.size(found) == len(wanted)
    padded = tf.pad(found, [[0, len(wanted) - tf.size(found)]])
    return same & tf.reduce_all(padded == tf.constant(list(wanted)))


def _number(data: Any, at: Any, count: int, is_little: Any) -> Any:
    """Return an unsigned number of 2 or 4 bytes, int64; the bytes must be there."""
    digits = tf.cast(data[at : at + count], tf.int64)
    digits = tf.where(is_little, digits, tf.reverse(digits, [0]))
    return tf.reduce_sum(digits * tf.constant([256**i for i in range(count)], tf.int64))


def _orientation(block: Any) -> Any:
    """Return what an EXIF block states; 1 when it states none or is bad."""
    block = block[:_MAX_BYTES]
    block = tf.cond(_is_at(block, 0, b"Exif\0\0"), lambda: block[6:], lambda: block)
    is_little = _is_at(block, 0, b"II*\0")
    is_known = is_little | _is_at(block, 0, b"MM\0*")
    is_long = tf.size(block) >= 8
    return tf.cond(
        is_known & is_long, lambda: _in_directory(block, is_little), lambda: tf.constant(1)
    )


def _in_directory(block: Any, is_little: Any) -> Any:
    size = tf.cast(tf.size(block), tf.int64)
    start = _number(block, 4, 4, is_little)

    def read() -> Any:
        at = tf.cast(start, tf.int32)
        count = tf.cast(_number(block, at, 2, is_little), tf.int32)
        # An entry that is cut off ends the search, so all before it count.
        whole = (tf.size(block) - at - 2 - _READ) // _ENTRY + 1
        count = tf.minimum(tf.minimum(count, _MAX_ENTRIES), tf.maximum(whole, 0))
        places = at + 2 + _ENTRY * tf.range(count)[:, tf.newaxis] + tf.range(_READ)
        return _of_entries(tf.gather(block, places), is_little)

    return tf.cond(start + 2 <= size, read, lambda: tf.constant(1))


def _of_entries(entries: Any, is_little: Any) -> Any:
    """Return the orientation of the first entry that has its tag; (n, 10) bytes."""

    def column(first: int, count: int) -> Any:
        digits = entries[:, first : first + count]
        digits = tf.where(is_little, digits, tf.reverse(digits, [1]))
        weights = tf.constant([256**i for i in range(count)], tf.int64)
        return tf.reduce_sum(tf.cast(digits, tf.int64) * weights, axis=1)

    tag, kind, length, value = column(0, 2), column(2, 2), column(4, 4), column(8, 2)
    valid = (kind == 3) & (length == 1) & (value >= 1) & (value <= 8)
    stated = tf.where(valid, tf.cast(value, tf.int32), 1)
    found = tf.boolean_mask(stated, tag == 0x0112)
    return tf.concat([found, [1]], 0)[0]
