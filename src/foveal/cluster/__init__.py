"""Prediction, evaluation, training and serving on Ray clusters."""
