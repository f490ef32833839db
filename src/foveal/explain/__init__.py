"""Why the model answers so: evidence maps, occlusion (no torch), layer features (torch)."""
