"""What one of Ray's errors says, in one line."""

from __future__ import annotations


def said(error: BaseException) -> str:
    """Return the line of an error that says what happened.

    That is the last exception of a traceback, where the error has one; otherwise the first line.

    Args:
        error: An error of Ray, or one that Ray hands on from another process.
    """
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if "The actor is temporarily unavailable" in text:
        # Followed by the number of the actor and by codes of its connection.
        return "the head of the cluster, or another machine of it, no longer answers."
    if lines[0].startswith("Version mismatch"):
        # The versions of Ray and Python are on further lines.
        return " ".join(lines)
    if any(line.startswith('File "') for line in lines):
        named = [line for line in lines if "Error" in line and not line.startswith('File "')]
        return (named or lines)[-1]
    # A line that ends in a colon only announces the next one.
    first = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    # A paragraph of advice about settings of Ray's that foveal has made.
    return first.partition(" Potential causes include")[0]
