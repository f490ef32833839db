"""Download labelled pictures from web pages and lists of URLs."""
