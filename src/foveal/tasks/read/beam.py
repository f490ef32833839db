"""The prefix beam search behind `ctc.decode_beam` and `ctc.decode_positions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.read.constraint import Constraint, State

# With a constraint, candidates looked at in each column once the beam is full, as a multiple of
# its width: enough to find complete texts among the incomplete, without asking the constraint
# about every character after every prefix. A compromise: on 30 noisy tables of 42 columns the mean
# log probability found at 4, 8 and 32 was -29.5, -29.6 and -28.9 for arithmetic, -57.4, -57.5 and
# -57.6 for a pattern (whose time per text grew from 10 to 18 ms).
_LOOKED_AT = 4


def search(
    log_probabilities: NDArray[np.float32],
    alphabet: Sequence[str],
    *,
    beam_width: int,
    constraint: Constraint | None,
    collapse: bool,
) -> list[int] | None:
    """Return the most probable text that was found, as positions in the alphabet.

    No class is skipped for being improbable: a step looks at all extensions of all prefixes at
    once. With a constraint there are two beams of this width, one of texts that are allowed as
    they stand and one of beginnings, so that beginnings which look better for now do not crowd
    out every text that could be the answer.

    Args:
        log_probabilities: (T, K), normalised over K.
        alphabet: K - 1 characters; class i + 1 is `alphabet[i]`.
        beam_width: Prefixes kept after each row, at least 1.
        constraint: The texts that are allowed; None for all.
        collapse: Equal neighbours are one character (CTC); else each row is its own character.

    Returns:
        None when no allowed text is among the prefixes kept at the end.
    """
    prefixes = _Prefixes(alphabet, constraint)
    beam = _Beam(
        nodes=[0],
        ended=np.zeros(1),
        running=np.full(1, -np.inf),
        denied=np.zeros((1, log_probabilities.shape[1]), np.bool_),
    )
    for row in log_probabilities.astype(np.float64):
        beam = _step(beam, row, prefixes, beam_width)
        if not beam.nodes:
            return None
        if not collapse:
            # A mass that counts as ended by a blank may be followed by the same character.
            total = np.logaddexp(beam.ended, beam.running)
            beam = replace(beam, ended=total, running=np.full_like(total, -np.inf))
    scores = np.logaddexp(beam.ended, beam.running)
    scores[[not prefixes.complete[node] for node in beam.nodes]] = -np.inf
    if scores.max() == -np.inf:
        return None
    return prefixes.indices(beam.nodes[int(scores.argmax())])


@final
class _Prefixes:
    """The texts met so far, as a tree of nodes; node 0 is the empty text."""

    def __init__(self, alphabet: Sequence[str], constraint: Constraint | None) -> None:
        self.constraint = constraint
        self.parent = [-1]
        self.last = [0]
        self.complete = [constraint is None]
        self._alphabet = alphabet
        self._states: list[State | None] = [None]
        self._children: dict[tuple[int, int], int | None] = {}
        if constraint is not None:
            self._states[0] = start = constraint.start()
            self.complete[0] = constraint.accepts(start)

    def child(self, node: int, class_: int) -> int | None:
        """Return the node one character on, or None when the constraint denies it."""
        key = node, class_
        if key not in self._children:
            self._children[key] = self._grow(node, class_)
        return self._children[key]

    def indices(self, node: int) -> list[int]:
        """Return the text of a node as positions in the alphabet."""
        found = []
        while node:
            found.append(self.last[node] - 1)
            node = self.parent[node]
        return found[::-1]

    def _grow(self, node: int, class_: int) -> int | None:
        state: State | None = None
        complete = True
        if self.constraint is not None:
            state = self.constraint.advance(self._states[node], self._alphabet[class_ - 1])
            if state is None:
                return None
            complete = self.constraint.accepts(state)
        self.parent.append(node)
        self.last.append(class_)
        self.complete.append(complete)
        self._states.append(state)
        return len(self.parent) - 1


@final
@dataclass(frozen=True, slots=True)
class _Beam:
    """The prefixes kept after a row.

    Attributes:
        nodes: B nodes of the tree.
        ended: (B,) log probability of the prefix with a blank as the last column.
        running: (B,) log probability of the prefix with its last character as the last column.
        denied: (B, K) True where the constraint is known to deny the extension.
    """

    nodes: list[int]
    ended: NDArray[np.float64]
    running: NDArray[np.float64]
    denied: NDArray[np.bool_]


def _step(beam: _Beam, row: NDArray[np.float64], prefixes: _Prefixes, width: int) -> _Beam:
    """Return the beam one row on."""
    count = len(beam.nodes)
    last = np.array([prefixes.last[node] for node in beam.nodes])
    total = np.logaddexp(beam.ended, beam.running)
    ended = total + row[0]
    extended = total[:, None] + row
    # The same character again is a new one only after a blank; without, it is still the last.
    extended[np.arange(count), last] = beam.ended + row[last]
    extended[:, 0] = -np.inf
    extended[beam.denied] = -np.inf
    stayed = beam.running + row[last]
    # A prefix that is kept may also be reached from its parent, if that is kept too.
    rows = {node: i for i, node in enumerate(beam.nodes)}
    parents = [rows.get(prefixes.parent[node], -1) for node in beam.nodes]
    reached = [i for i, parent in enumerate(parents) if parent >= 0]
    if reached:
        source = [parents[i] for i in reached], last[reached]
        stayed[reached] = np.logaddexp(stayed[reached], extended[source])
        extended[source] = -np.inf

    running = np.concatenate((stayed, extended.ravel()))
    scores = running.copy()
    scores[:count] = np.logaddexp(ended, stayed)
    kept, nodes = _select(beam, scores, prefixes, width)
    stays = kept < count
    result = _Beam(
        nodes=nodes,
        ended=np.full(len(nodes), -np.inf),
        running=running[kept],
        denied=np.zeros((len(nodes), len(row)), np.bool_),
    )
    result.ended[stays] = ended[kept[stays]]
    result.denied[stays] = beam.denied[kept[stays]]
    return result


def _select(
    beam: _Beam, scores: NDArray[np.float64], prefixes: _Prefixes, width: int
) -> tuple[NDArray[np.intp], list[int]]:
    """Return the candidates to keep and their nodes; notes in `beam` what is denied.

    Args:
        beam: B prefixes.
        scores: (B + B * K,) first the prefixes that stay, then their extensions.
        prefixes: The tree, which grows by the extensions that are looked at.
        width: Most complete ones, and most incomplete ones, to keep.
    """
    count, classes = beam.denied.shape
    order = np.argsort(-scores)[: np.count_nonzero(scores > -np.inf)]
    limit = width
    if prefixes.constraint is not None:
        # Prefixes that stay need no question, and a complete one must not be lost behind many
        # extensions that will be denied.
        order, rest = order[: _LOOKED_AT * width], order[_LOOKED_AT * width :]
        stays = rest < count
        order = np.concatenate((order, rest[stays], rest[~stays]))
        limit = _LOOKED_AT * width + int(stays.sum())
    kept: list[int] = []
    nodes: list[int] = []
    room = {True: width, False: 0 if prefixes.constraint is None else width}
    for rank, candidate in enumerate(order.tolist()):
        if not any(room.values()) or (rank >= limit and len(kept) >= width):
            break
        parent, class_ = divmod(candidate - count, classes)
        node: int | None = beam.nodes[candidate] if candidate < count else None
        if node is None:
            node = prefixes.child(beam.nodes[parent], class_)
        if node is None:
            beam.denied[parent, class_] = True
            continue
        complete = prefixes.complete[node]
        if room[complete]:
            room[complete] -= 1
            kept.append(candidate)
            nodes.append(node)
    return np.array(kept, np.intp), nodes
