"""Prediction with ONNX Runtime, without torch."""

from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.predictor import Predictor

__all__ = ["Engine", "OnnxEngine", "Predictor"]
