"""Decoding in processes that can be lost: a crash, a hang or a bomb costs one picture."""
