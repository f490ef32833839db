"""A model as a folder to build a container image from: no torch, no root, a lock with hashes."""
