"""TIFF files of any size, read by tiles or strips."""
