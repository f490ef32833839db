"""The web pages of a server and their data."""
