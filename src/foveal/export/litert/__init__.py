"""Networks as LiteRT files, for phones and small devices. Importing this package loads nothing."""
