"""MLServer with two parallel workers; the picture is base64 in the Open Inference Protocol."""

import base64
import json

from handler import Handler
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput


class Pictures(MLModel):
    """Answers one picture at a time."""

    async def load(self) -> bool:
        """Load the model."""
        self._handler = Handler()
        return True

    async def predict(self, payload):
        """Return the answer as JSON in a tensor of text."""
        answer = self._handler(base64.b64decode(payload.inputs[0].data[0]))
        data = ResponseOutput(name="answer", shape=[1], datatype="BYTES", data=[json.dumps(answer)])
        return InferenceResponse(model_name=self.name, outputs=[data])
