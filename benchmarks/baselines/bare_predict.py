"""The least that answers a picture: decode, resize, run the network, print the label.

A program of its own, started by ../predict_latency.py; it imports nothing of foveal.

    python bare_predict.py model.onnx picture.jpg height width r,g,b label,label,...
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import simplejpeg
from PIL import Image

model, picture, height, width, color, labels = sys.argv[1:7]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
size = (int(height), int(width))
image = Image.fromarray(simplejpeg.decode_jpeg(Path(picture).read_bytes()))
scale = min(size[0] / image.height, size[1] / image.width)
inner = image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR)
canvas = Image.new("RGB", (size[1], size[0]), tuple(int(part) for part in color.split(",")))
canvas.paste(inner, ((size[1] - inner.width) // 2, (size[0] - inner.height) // 2))
logits = session.run(["logits"], {"image": np.asarray(canvas)[None]})[0]
print(labels.split(",")[int(logits[0].argmax())])
