"""Access control of the server: API keys, quotas, cross-origin requests, and the access log."""
