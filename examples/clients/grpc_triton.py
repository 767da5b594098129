"""Ask with tritonclient by gRPC: `pip install tritonclient[grpc]`, grpc_triton.py [HOST:PORT [MODEL]]."""

import sys

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException


def main(place: str = "127.0.0.1:8082", model: str = "m") -> None:
    """Predict two rows, ask for the two highest classes of each, and for a model that is not there."""
    client = InferenceServerClient(place)
    print("is_server_ready", client.is_server_ready())
    print("is_model_ready", client.is_model_ready(model))
    rows = np.full((2, 30), 0.1, np.float32)
    tensor = InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    result = client.infer(model, [tensor], request_id="1", compression_algorithm="gzip")
    print("probabilities", result.as_numpy("probabilities").tolist())
    print("prediction", result.get_response().parameters["prediction_id"].string_param)
    classes = InferRequestedOutput("probabilities", class_count=2)
    print("classes", client.infer(model, [tensor], outputs=[classes]).as_numpy("probabilities").tolist())
    try:
        client.infer("nobody", [tensor], client_timeout=5.0)
    except InferenceServerException as error:
        print(str(error.status()).removeprefix("StatusCode."), error.message())
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
