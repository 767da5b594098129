"""Ask with tritonclient: `pip install tritonclient[http]`, then triton.py [HOST:PORT [MODEL]]."""

import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput


def main(place: str = "127.0.0.1:8080", model: str = "m") -> None:
    """Predict two rows in binary, compressed, and the two highest classes of each."""
    client = InferenceServerClient(place)
    print("is_server_ready", client.is_server_ready())
    print("is_model_ready", client.is_model_ready(model))
    rows = np.full((2, 30), 0.1, np.float32)
    tensor = InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=True)
    result = client.infer(
        model, [tensor], request_compression_algorithm="gzip", response_compression_algorithm="gzip"
    )
    print("probabilities", result.as_numpy("probabilities").tolist())
    classes = InferRequestedOutput("probabilities", class_count=2)
    print("classes", client.infer(model, [tensor], outputs=[classes]).as_numpy("probabilities").tolist())
    counted = client.get_inference_statistics(model)["model_stats"][0]
    print("answered", counted["inference_stats"]["success"]["count"])
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
