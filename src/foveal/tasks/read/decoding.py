"""Decode outputs of a reader: greedily if the result is allowed, else by a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.read.constraint import Constraint, allows
from foveal.tasks.read.ctc import Decoded, decode_beam, decode_greedy, decode_positions
from foveal.tasks.read.options import ReadOptions

_NOTHING = Decoded("", 0.0, (), ())


def decode_text(
    log_probabilities: NDArray[np.float32],
    alphabet: Sequence[str],
    options: ReadOptions,
    constraint: Constraint | None,
) -> Decoded:
    """Return the text of one picture.

    Where the search finds no allowed text the plain one is returned, allowed or not.

    Args:
        log_probabilities: (T, K), normalised over K; class 0 is the blank.
        alphabet: K - 1 characters.
        options: Options of the reader.
        constraint: Constraint from `options`, or None for any text.
    """
    is_positional = options.head == "positions"
    plain: Decoded | None
    if is_positional:
        plain = decode_positions(log_probabilities, alphabet)
    else:
        plain = decode_greedy(log_probabilities, alphabet)
    wants_search = options.decoder == "beam" and not is_positional
    # Nearly every text of a trained reader is allowed as it stands, and the search for a better
    # one costs fifty times as much.
    if plain is not None and _is_enough(plain, constraint, wants_search=wants_search):
        return plain
    search = decode_positions if is_positional else decode_beam
    found = search(
        log_probabilities, alphabet, constraint=constraint, beam_width=options.beam_width
    )
    return found or plain or _NOTHING


def _is_enough(plain: Decoded, constraint: Constraint | None, *, wants_search: bool) -> bool:
    if constraint is None:
        return not wants_search
    return allows(constraint, plain.text)
