"""The classic captcha reader as a Keras tutorial writes it: CNN, two GRU layers, CTC, fit, save.

A program of its own, started by ../reader_throughput.py with the interpreter of an environment
that holds TensorFlow and Pillow. Prints one JSON line.

    python keras_reader.py folder-with-labels.csv saved.keras batch-size epochs
"""

import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.keras import Model
from tensorflow.keras import backend as K
from tensorflow.keras.callbacks import Callback
from tensorflow.keras.layers import (
    GRU,
    Activation,
    BatchNormalization,
    Bidirectional,
    Conv2D,
    Dense,
    Dropout,
    Input,
    MaxPooling2D,
    Permute,
    Reshape,
)
from tensorflow.keras.optimizers import Adam
from tensorflow.keras.utils import Sequence

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Captchas(Sequence):
    """Batches of pictures that are held in memory as they were decoded."""

    def __init__(self, data: Path, rows: list[dict[str, str]], batch_size: int) -> None:
        """Decode the pictures."""
        super().__init__()
        self.batch_size = batch_size
        pictures = [Image.open(data / row["image"]).convert("RGB") for row in rows]
        self.pictures = np.stack([np.asarray(picture) for picture in pictures])
        texts = [[CHARACTERS.index(character) for character in row["text"]] for row in rows]
        self.texts = np.array(texts, np.int32)

    def __len__(self) -> int:
        """Return how many batches there are."""
        return -(-len(self.pictures) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (pictures, texts) of a batch."""
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.pictures[part].astype(np.float32) / 255.0, self.texts[part]


class Clock(Callback):
    """Takes the seconds of every epoch, and of its training without the validation."""

    def on_train_begin(self, logs=None):
        """Start with nothing."""
        self.epochs, self.trainings = [], []

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.begun = time.perf_counter()

    def on_test_begin(self, logs=None):
        """Validation begins: training is done."""
        self.trainings.append(time.perf_counter() - self.begun)

    def on_epoch_end(self, epoch, logs=None):
        """Validation is done too."""
        self.epochs.append(time.perf_counter() - self.begun)


def ctc(truth, answered):
    """Return the CTC loss of each picture; all texts are of one length."""
    steps = tf.fill((tf.shape(answered)[0], 1), tf.shape(answered)[1])
    lengths = tf.fill((tf.shape(truth)[0], 1), tf.shape(truth)[1])
    return K.ctc_batch_cost(truth, answered, steps, lengths)


data, saved, batch_size, epochs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

start = time.perf_counter()
with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
train, val = (
    Captchas(data, [row for row in rows if row["split"] == side], batch_size)
    for side in ("train", "val")
)
height, width = train.pictures.shape[1:3]

x = images = Input((height, width, 3))
for filters in (32, 64, 128):
    for _ in range(2):
        x = Conv2D(filters, (3, 3), padding="same")(x)
        x = BatchNormalization()(x)
        x = Activation("relu")(x)
    x = MaxPooling2D((2, 2))(x)
x = Permute((2, 1, 3))(x)  # columns first: they are the steps of the sequence
x = Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
x = Dense(128, activation="relu")(x)
x = Bidirectional(GRU(128, return_sequences=True), merge_mode="sum")(x)
x = Bidirectional(GRU(128, return_sequences=True), merge_mode="concat")(x)
x = Dropout(0.25)(x)
x = Dense(len(CHARACTERS) + 1, activation="softmax")(x)  # the last one is the blank
model = Model(images, x)
model.compile(optimizer=Adam(1e-3), loss=ctc)

clock = Clock()
fit_start = time.perf_counter()
history = model.fit(train, validation_data=val, epochs=epochs, callbacks=[clock], verbose=0)
fit_s = time.perf_counter() - fit_start
model.save(saved)
print(
    json.dumps(
        {
            "pictures": len(train.pictures),
            "epochs": epochs,
            "fit_s": fit_s,
            "epochs_s": clock.epochs,
            "trainings_s": clock.trainings,
            "total_s": time.perf_counter() - start,
            "parameters": model.count_params(),
            "steps": x.shape[1],
            "val_loss": history.history["val_loss"],
            "tensorflow": tf.__version__,
            "keras": tf.keras.__version__,
        }
    )
)
