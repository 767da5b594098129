"""Ask with MLflow's scoring client: `pip install mlflow`, then mlflow_scoring.py [HOST [PORT]]."""

import sys

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main(host: str = "127.0.0.1", port: str = "8080") -> None:
    """Predict a data frame and an array with the default model."""
    client = ScoringServerClient(host, int(port))
    client.ping()
    print("version", client.get_version())
    frame = pd.DataFrame(np.full((2, 30), 0.1), columns=[f"x[{index}]" for index in range(30)])
    print("frame", client.invoke(frame).to_json())
    print("array", client.invoke(np.full((1, 30), 0.1), params={"unused": 1}).to_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
