"""Ask as Amazon SageMaker's InvokeEndpoint does: `pip install httpx`, then sagemaker.py [URL].

On SageMaker the platform makes these calls; here they are made by hand, in JSON and in binary.
"""

import json
import struct
import sys

import httpx

BINARY = "application/vnd.sagemaker-triton.binary+json;json-header-size={}"


def main(url: str = "http://127.0.0.1:8080") -> None:
    """Predict one row with the default model."""
    httpx.get(f"{url}/ping", timeout=2).raise_for_status()
    row = [0.1] * 30
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "trace-7", "Accept": "application/json"}
    answer = httpx.post(f"{url}/invocations", json={"instances": [row]}, headers=headers)
    answer.raise_for_status()
    print(answer.headers["X-Amzn-SageMaker-Custom-Attributes"], answer.json()["predictions"])

    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 30], "parameters": {"binary_data_size": 120}}
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    headers = {"Content-Type": BINARY.format(len(head))}
    answer = httpx.post(f"{url}/invocations", content=head + struct.pack("<30f", *row), headers=headers)
    answer.raise_for_status()
    size = int(answer.headers["Content-Type"].rpartition("=")[2])
    print("binary", struct.unpack("<2f", answer.content[size:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
