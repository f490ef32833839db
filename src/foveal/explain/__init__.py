"""Explain answers: evidence maps and occlusion (without torch), layer features (with torch)."""
