"""Outlines in SVG, labelme and COCO files, and the source that draws masks from them."""
