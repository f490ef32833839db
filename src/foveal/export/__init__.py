"""Export trained networks, and verify that exports answer like the original."""
