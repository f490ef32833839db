"""The network of a bundle in TensorFlow, operator by operator; see docs/decisions.

Whatever is here imports TensorFlow, so it runs in a process of its own (`foveal.export.process`).
"""
