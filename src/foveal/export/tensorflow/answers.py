"""Decode the outputs of the network in a TensorFlow graph, as `Task.decode` does in numpy."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from foveal.bundle.manifest import Manifest
from foveal.types import UNFAMILIARITY

# Stands for log 0, as in foveal.tasks.read.ctc.
_IMPOSSIBLE = -1e6
_LIMIT = 1.0


def classes(outputs: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Return the labels of (N, C) logits, the most likely first, and how sure they are."""
    calibration, names = manifest.calibration, manifest.labels
    is_multi = bool(manifest.task_options.get("multi_label"))
    logits = outputs["logits"] / tf.constant(calibration.temperature, tf.float32)
    scores = tf.sigmoid(logits) if is_multi else tf.nn.softmax(logits)
    order = tf.argsort(scores, axis=1, direction="DESCENDING", stable=True)
    answer = {
        "classes": tf.gather(tf.constant(list(names)), order),
        "scores": tf.gather(scores, order, batch_dims=1),
    }
    if is_multi:
        limits = tf.constant(calibration.thresholds or [0.5] * len(names), tf.float32)
        chosen = scores >= limits
        answer["applies"] = tf.gather(chosen, order, batch_dims=1)
        confidence = tf.reduce_min(tf.where(chosen, scores, 1.0 - scores), axis=1)
    else:
        confidence = tf.reduce_max(scores, axis=1)
    return {**answer, **_doubts(confidence, outputs, calibration.unsure_below)}


def texts(outputs: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Return the text of each of (N, T, K) logits, read greedily, and its probability."""
    calibration = manifest.calibration
    alphabet = tf.constant(["", *manifest.labels])
    is_positional = manifest.task_options.get("head") == "positions"
    logits = outputs["logits"] / tf.constant(calibration.temperature, tf.float32)

    def read(rows: Any) -> tuple[Any, Any]:
        best = tf.argmax(rows, axis=1, output_type=tf.int32)
        if is_positional:
            shown = tf.boolean_mask(best, best > 0)
            score = _placed(rows, shown)
        else:
            # A run of one class is one character.
            before = tf.concat([[-1], best[:-1]], 0)
            shown = tf.boolean_mask(best, (best > 0) & (best != before))
            score = _aligned(rows, shown)
        text = tf.strings.reduce_join(tf.gather(alphabet, shown))
        return text, tf.cast(tf.minimum(tf.exp(score), 1.0), tf.float32)

    found, confidence = tf.map_fn(
        read,
        tf.nn.log_softmax(logits),
        fn_output_signature=(tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32)),
    )
    return {"text": found, **_doubts(confidence, outputs, calibration.unsure_below)}


def _doubts(confidence: Any, outputs: dict[str, Any], unsure_below: float) -> dict[str, Any]:
    unsure = tf.cast(confidence, tf.float64) < tf.constant(unsure_below, tf.float64)
    doubts = {"confidence": confidence, "unsure": unsure}
    if UNFAMILIARITY not in outputs:
        return doubts
    unfamiliarity = outputs[UNFAMILIARITY]
    return {**doubts, "unsure": unsure | (unfamiliarity > _LIMIT), UNFAMILIARITY: unfamiliarity}


def _aligned(rows: Any, shown: Any) -> Any:
    """Return the log probability of a text over all its alignments: CTC's forward pass.

    Args:
        rows: (T, K) float32, log probabilities; class 0 is the blank.
        shown: (L,) int32, the classes of the text.
    """
    count = 2 * tf.size(shown) + 1
    states = tf.reshape(tf.stack([tf.zeros_like(shown), shown], axis=1), [-1])
    states = tf.concat([states, [0]], 0)
    two_before = tf.concat([tf.fill([2], -1), states], 0)[:count]
    may_skip = (states != 0) & (states != two_before) & (tf.range(count) > 1)
    steps = tf.cast(tf.maximum(tf.gather(rows, states, axis=1), _IMPOSSIBLE), tf.float64)
    nothing = tf.constant(_IMPOSSIBLE, tf.float64)
    start = tf.where(tf.range(count) < 2, steps[0], nothing)

    def step(total: Any, own: Any) -> Any:
        padded = tf.concat([tf.fill([2], nothing), total], 0)
        skipped = tf.where(may_skip, padded[:count], nothing)
        ways = tf.stack([total, padded[1 : count + 1], skipped])
        return tf.maximum(tf.reduce_logsumexp(ways, axis=0) + own, nothing)

    totals = tf.foldl(step, steps[1:], initializer=start)
    return tf.reduce_logsumexp(totals[-2:])


def _placed(rows: Any, shown: Any) -> Any:
    """Return the log probability of a text over all ways to place it; see `_aligned`."""
    rows = tf.cast(rows, tf.float64)
    nothing = tf.constant(_IMPOSSIBLE, tf.float64)
    own = tf.gather(rows, shown, axis=1)
    start = tf.concat([tf.zeros([1], tf.float64), tf.fill(tf.shape(shown), nothing)], 0)

    def step(total: Any, given: tuple[Any, Any]) -> Any:
        empty, each = given
        moved = tf.concat([[nothing], total[:-1] + each], 0)
        return tf.reduce_logsumexp(tf.stack([total + empty, moved]), axis=0)

    return tf.foldl(step, (rows[:, 0], own), initializer=start)[-1]
