"""The work in MLServer: a custom runtime, as its documentation writes one, run by `mlserver start FOLDER`."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Work(MLModel):
    """A graph of one float input; the path is the model's URI."""

    async def load(self) -> bool:
        """Open the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run one request."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        found = self._session.run(self._names, {payload.inputs[0].name: rows})
        outputs = [
            NumpyCodec.encode_output(name, array) for name, array in zip(self._names, found, strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
