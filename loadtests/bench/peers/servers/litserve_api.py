"""The work in LitServe: an API with its four methods, as its documentation writes one.

python litserve_api.py GRAPH PORT
"""

import sys

import litserve
import numpy as np
import onnxruntime


class Work(litserve.LitAPI):
    """A graph of one float input."""

    def setup(self, device: str) -> None:
        """Open the graph, in the process that runs it."""
        del device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def decode_request(self, request: dict) -> np.ndarray:
        """The tensor of a request."""
        tensor = request["inputs"][0]
        return np.array(tensor["data"], np.float32).reshape(tensor["shape"])

    def predict(self, x: np.ndarray) -> list[np.ndarray]:
        """Run one request."""
        return self._session.run(self._names, {"X": x})

    def encode_response(self, output: list[np.ndarray]) -> dict:
        """The tensors of an answer."""
        return {
            "outputs": [
                {"name": name, "shape": array.shape, "data": array.ravel().tolist()}
                for name, array in zip(self._names, output, strict=True)
            ]
        }


if __name__ == "__main__":
    server = litserve.LitServer(Work(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
