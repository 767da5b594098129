"""Send requests, each with its label a moment later, as an application would.

    python examples/traffic.py http://HOST:PORT

It goes on for five minutes, or until it is stopped.
"""

import sys
import time

import httpx
from train import NUMBERS, TEXTS, people

ROWS = 8
DATATYPES = {"income": "FP32", "amount": "FP32", "purpose": "BYTES"}


def main(url: str, seconds: float = 300.0) -> None:
    """Ask and tell until the time is over."""
    answered: dict[str, int] = {}
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=url) as client:
        for seed in range(1_000_000):
            if time.monotonic() > deadline:
                break
            rows = people(ROWS, seed=10_000 + seed)
            inputs = [
                {"name": name, "shape": [ROWS, 1], "datatype": DATATYPES[name], "data": rows[name].tolist()}
                for name in NUMBERS + TEXTS
            ]
            answer = client.post("/v2/models/loans/infer", json={"inputs": inputs}).raise_for_status().json()
            answered[answer["model_version"]] = answered.get(answer["model_version"], 0) + 1
            prediction = answer["parameters"]["prediction_id"]
            labels = [
                {"id": prediction, "row": row, "value": int(label)}
                for row, label in enumerate(rows["repaid"])
            ]
            client.post("/v2/models/loans/labels", json={"labels": labels}).raise_for_status()
    print(", ".join(f"version {version} answered {count}" for version, count in sorted(answered.items())))


if __name__ == "__main__":
    main(sys.argv[1])
