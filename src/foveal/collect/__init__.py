"""Collecting labelled pictures from web pages and from lists of addresses, politely."""
