"""Edit distance and alignment of texts."""

from __future__ import annotations


def edit_script(text: str, target: str) -> list[tuple[str, str]]:
    """Align what was read with the truth by the fewest insertions, deletions, substitutions.

    V. I. Levenshtein, "Binary Codes Capable of Correcting Deletions, Insertions, and Reversals",
    1966.

    Args:
        text: What was read.
        target: What is there.

    Returns:
        Pairs (character of the truth or "", character read or ""), in order.
    """
    # A common start and end belong to some shortest script, and leave little to search.
    start, least = 0, min(len(text), len(target))
    while start < least and text[start] == target[start]:
        start += 1
    end = 0
    while end < least - start and text[-1 - end] == target[-1 - end]:
        end += 1
    head, tail = target[:start], target[len(target) - end :]
    middle = _search(text[start : len(text) - end], target[start : len(target) - end])
    return [*zip(head, head, strict=True), *middle, *zip(tail, tail, strict=True)]


def misread(text: str, target: str) -> list[str]:
    """Return the characters that were read wrongly, and those that were read instead.

    Args:
        text: What was read.
        target: What is there.
    """
    if text == target:
        return []
    wrong = (pair for pair in edit_script(text, target) if pair[0] != pair[1])
    return [side for pair in wrong for side in pair if side]


def _search(text: str, target: str) -> list[tuple[str, str]]:
    """Return the shortest script by dynamic programming, one row for each character read."""
    table = [list(range(len(target) + 1))]
    for i, read in enumerate(text, 1):
        above, line = table[-1], [i]
        for j, true in enumerate(target):
            cost = above[j] + (read != true)
            cost = min(cost, above[j + 1] + 1, line[j] + 1)
            line.append(cost)
        table.append(line)
    i, j = len(text), len(target)
    script = []
    while i or j:
        here = table[i][j]
        if i and j and here == table[i - 1][j - 1] + (text[i - 1] != target[j - 1]):
            i, j = i - 1, j - 1
            script.append((target[j], text[i]))
        elif j and here == table[i][j - 1] + 1:
            j -= 1
            script.append((target[j], ""))
        else:
            i -= 1
            script.append(("", text[i]))
    return script[::-1]
