"""TIFF files of any size, read by the tiles or strips that a window touches."""
