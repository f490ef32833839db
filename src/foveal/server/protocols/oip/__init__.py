"""The Open Inference Protocol (v2) of KServe, Triton and MLServer."""
