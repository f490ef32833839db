"""The 3-block network as a Keras tutorial writes it: ImageDataGenerator, fit, save.

A program of its own, started by ../keras_throughput.py with the interpreter of an environment
that holds TensorFlow, scipy and Pillow. Prints one JSON line.
"""

import json
import sys
import time
from pathlib import Path

import tensorflow as tf
from tensorflow.keras import Sequential
from tensorflow.keras.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from tensorflow.keras.preprocessing.image import ImageDataGenerator

data, saved, side, batch_size, epochs = sys.argv[1:6]
size, batch_size, epochs = (int(side), int(side)), int(batch_size), int(epochs)

start = time.perf_counter()
train_generator = ImageDataGenerator(
    rescale=1.0 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
).flow_from_directory(
    str(Path(data) / "train"), target_size=size, batch_size=batch_size, class_mode="categorical"
)
val_generator = ImageDataGenerator(rescale=1.0 / 255).flow_from_directory(
    str(Path(data) / "val"), target_size=size, batch_size=batch_size, class_mode="categorical"
)
model = Sequential(
    [
        Input((*size, 3)),
        Conv2D(32, (3, 3), activation="relu", padding="same"),
        MaxPooling2D((2, 2)),
        Conv2D(64, (3, 3), activation="relu", padding="same"),
        MaxPooling2D((2, 2)),
        Conv2D(128, (3, 3), activation="relu", padding="same"),
        MaxPooling2D((2, 2)),
        Flatten(),
        Dense(128, activation="relu"),
        Dropout(0.5),
        Dense(train_generator.num_classes, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
fit_start = time.perf_counter()
history = model.fit(train_generator, validation_data=val_generator, epochs=epochs, verbose=0)
fit_s = time.perf_counter() - fit_start
model.save(saved)
print(
    json.dumps(
        {
            "pictures": train_generator.samples,
            "epochs": epochs,
            "fit_s": fit_s,
            "total_s": time.perf_counter() - start,
            "parameters": model.count_params(),
            "val_accuracy": float(history.history["val_accuracy"][-1]),
            "tensorflow": tf.__version__,
            "keras": tf.keras.__version__,
        }
    )
)
