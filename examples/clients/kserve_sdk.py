"""Ask with KServe's SDK: `pip install kserve`, then kserve_sdk.py [URL [MODEL]]."""

import asyncio
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(url: str = "http://127.0.0.1:8080", model: str = "m") -> None:
    """Predict by v2 (JSON and binary) and by v1."""
    rows = np.full((2, 30), 0.1, np.float32)
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    print("is_server_ready", await v2.is_server_ready(url))
    print("is_model_ready", await v2.is_model_ready(url, model))
    for binary in (False, True):
        tensor = InferInput("x", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows, binary_data=binary)
        asked = InferRequest(model, [tensor], parameters={"binary_data_output": binary})
        answer = await v2.infer(url, asked, model_name=model)
        print("v2", answer.outputs[1].as_numpy().tolist())
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    print("is_server_live", await v1.is_server_live(url))
    print("is_model_ready", await v1.is_model_ready(url, model))
    print("v1", await v1.infer(url, {"instances": rows.tolist()}, model_name=model))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
