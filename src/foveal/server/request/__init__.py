"""A request to the server: its limits, its body, and an answer in JSON."""
