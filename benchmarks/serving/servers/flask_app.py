"""The tutorial's server: Flask, one function, the model at the top of the module."""

from flask import Flask, jsonify, request
from handler import Handler

app = Flask(__name__)
handler = Handler()


@app.post("/predict")
def predict():
    """Answer the picture in the body."""
    return jsonify(handler(request.get_data()))
