"""EfficientNetB0 fine-tuned as a Keras tutorial does it: image_dataset_from_directory and fit.

Keras has no EfficientNet-Lite; B0 is the network that Lite0 was made from. A program of its own,
started by ../fine_tuning.py with the interpreter of an environment that holds TensorFlow. Prints
one JSON line.
"""

import json
import sys
import time

import tensorflow as tf
from tensorflow.keras import Sequential, layers

data, side, batch_size, epochs = sys.argv[1], *map(int, sys.argv[2:5])
size = (side, side)
train, val = (
    tf.keras.utils.image_dataset_from_directory(
        f"{data}/{part}", image_size=size, batch_size=batch_size
    )
    for part in ("train", "val")
)
classes = len(train.class_names)
pictures = epochs * len(train.file_paths)
augmentation = Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.05)])
# Without weights: the rate does not depend on them.
backbone = tf.keras.applications.EfficientNetB0(
    include_top=False, weights=None, input_shape=(*size, 3), pooling="avg"
)
model = Sequential([layers.Input((*size, 3)), augmentation, backbone, layers.Dense(classes)])
model.compile(
    optimizer="adam",
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
start = time.perf_counter()
model.fit(
    train.prefetch(tf.data.AUTOTUNE),
    validation_data=val.prefetch(tf.data.AUTOTUNE),
    epochs=epochs,
    verbose=0,
)
print(
    json.dumps(
        {
            "pictures": pictures,
            "fit_s": time.perf_counter() - start,
            "versions": {"tensorflow": tf.__version__, "keras": tf.keras.__version__},
        }
    )
)
