"""Ask for one prediction with tritonclient, the client library of another server: the protocol is the same.

python examples/ask.py HOST:PORT
"""

import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput

ROWS = {
    "income": ("FP32", np.array([[3_200.0], [2_100.0]], dtype=np.float32)),
    "amount": ("FP32", np.array([[9_000.0], [30_000.0]], dtype=np.float32)),
    "purpose": ("BYTES", np.array([["car"], ["holiday"]], dtype=np.object_)),
}


def main(address: str) -> None:
    """Ask, and print what came back."""
    client = InferenceServerClient(address)
    inputs = []
    for name, (datatype, values) in ROWS.items():
        given = InferInput(name, list(values.shape), datatype)
        given.set_data_from_numpy(values, binary_data=False)
        inputs.append(given)
    answer = client.infer("loans", inputs)
    said = answer.get_response()
    print(f"version {said['model_version']} says {answer.as_numpy('label').tolist()}")
    print(f"prediction id {said['parameters']['prediction_id']}")
    client.close()


if __name__ == "__main__":
    main(sys.argv[1])
