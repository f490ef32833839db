"""Who may ask a server: API keys, quotas, foreign web pages, and the log of who asked what."""
