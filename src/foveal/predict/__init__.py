"""Prediction with ONNX Runtime: no torch."""

from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.predictor import Predictor

__all__ = ["Engine", "OnnxEngine", "Predictor"]
