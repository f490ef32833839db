"""Polygons in SVG, labelme and COCO files, and the source that rasterises them to masks."""
