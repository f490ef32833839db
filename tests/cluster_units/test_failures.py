"""What is said of Ray's errors."""

import pytest

from foveal.cluster.failures import said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The actor is gone.\nTraceback: ...", "The actor is gone."),
        # A line that only announces what follows says nothing.
        (
            "Training failed due to controller error:\n\n  The node died.\nmore",
            "Training failed due to controller error: The node died.",
        ),
        (
            "The worker group startup timed out after 300 seconds waiting for 2 workers. Potential "
            "causes include: (1) temporary insufficient cluster resources.",
            "The worker group startup timed out after 300 seconds waiting for 2 workers.",
        ),
        (
            "Training failed due to controller error:\nThe actor 550b is unavailable: The actor "
            "is temporarily unavailable: RpcError: RPC error: Socket closed rpc_code: 14. The task "
            "may or may not have been executed on the actor.",
            "the head of the cluster, or another machine of it, no longer answers.",
        ),
        ("Training failed:", "Training failed:"),
        ("", "RuntimeError"),
        # Which versions do not match is on the further lines.
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.54.0\n",
            "Version mismatch: The cluster was started with: Ray: 2.54.0",
        ),
        # The first lines of a traceback say where, its last exception says what.
        (
            'ray::Work.run() (pid=7)\n  File "work.py", line 3, in run\nKeyError: 1\n\nDuring '
            'handling, another exception occurred:\n  File "work.py", line 5\n    raise OurError\n'
            "ValueError: no room\n  for it",
            "ValueError: no room",
        ),
        ('  File "work.py", line 3, in run\nKeyboardInterrupt', "KeyboardInterrupt"),
    ],
)
def test_the_line_that_says_what_happened(text: str, expected: str) -> None:
    assert said(RuntimeError(text)) == expected
