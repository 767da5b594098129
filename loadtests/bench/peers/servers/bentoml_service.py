"""The work in BentoML: a service, as its documentation writes one, for `bentoml serve`; WORK is the graph."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Work:
    """A graph of one float input."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["WORK"], options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]

    @bentoml.api
    def infer(self, inputs: list[dict]) -> dict:
        """Run one request."""
        rows = np.array(inputs[0]["data"], np.float32).reshape(inputs[0]["shape"])
        found = self._session.run(self._names, {"X": rows})
        return {
            "outputs": [
                {"name": name, "shape": list(array.shape), "data": array.ravel().tolist()}
                for name, array in zip(self._names, found, strict=True)
            ]
        }
