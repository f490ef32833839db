"""A bundle as an installable app: a folder of static files that answers in the browser."""
