"""Prediction with ONNX Runtime: no torch."""

from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.predictor import Predictor, error_record

__all__ = ["Engine", "OnnxEngine", "Predictor", "error_record"]
