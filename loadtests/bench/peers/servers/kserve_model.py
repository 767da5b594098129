"""The work in KServe's SDK: a model of a custom predictor, as its documentation writes one.

python kserve_model.py GRAPH PORT
"""

import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid

DATATYPES = {"float32": "FP32", "int64": "INT64"}


class Work(Model):
    """A graph of one float input."""

    def __init__(self, path: str) -> None:
        super().__init__("work")
        self._path = path

    def load(self) -> bool:
        """Open the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        self.ready = True
        return True

    def predict(
        self, payload: InferRequest, headers: object = None, response_headers: object = None
    ) -> object:
        """Run one request."""
        del headers, response_headers
        found = self._session.run(self._names, {payload.inputs[0].name: payload.inputs[0].as_numpy()})
        outputs = []
        for name, array in zip(self._names, found, strict=True):
            output = InferOutput(name, list(array.shape), DATATYPES[str(array.dtype)])
            output.set_data_from_numpy(array, binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id or generate_uuid(), self.name, outputs)


if __name__ == "__main__":
    model = Work(sys.argv[1])
    model.load()
    ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1).start([model])
