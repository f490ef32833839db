"""From a location to labelled samples, decoded pictures, a cache and a split. Knows no task."""
