"""The web pages of a server, and what they show."""
