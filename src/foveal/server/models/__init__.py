"""The models of a server: which versions are loaded, and how that follows the stores."""
