"""What is said of Ray's errors."""

import pytest

from foveal.cluster.train import _said


@pytest.mark.parametrize(
    ("text", "said"),
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
    ],
)
def test_the_first_sentence_of_an_error(text: str, said: str) -> None:
    assert _said(RuntimeError(text)) == said
