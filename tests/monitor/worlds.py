"""Small made-up worlds for the monitor's tests: a model with a profile, and frames of its traffic."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from monitor.settings import DetectionSettings, LedgerSettings, MonitorSettings, PolicySettings, Webhook
from prediction_log.frame import encode
from prediction_log.ids import PredictionIds
from prediction_log.labels import LabelRow, label_columns
from prediction_log.record import (
    Kind,
    deletion_schema,
    label_schema,
    loss_schema,
    pair_schema,
    prediction_schema,
)
from registry_client.manifest import Manifest, digest_of
from registry_client.memory import MemoryRegistry
from registry_client.profile import encode as encode_profile
from registry_client.profile import identify
from registry_client.profiling import build_profile
from registry_client.registry import Registry

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
START = 1_800_000_000_000_000_000
CITIES = ("bern", "oslo", "rome")
MODEL = "loans"
IDS = PredictionIds(bytes(range(16)))
UNTRACED = bytes(16)
"""The trace id of a request that carried none."""


def reference(rng: Generator, rows: int) -> dict[str, np.ndarray]:
    """Inputs as the model is used to see them: two numbers and a text."""
    return {
        "age": rng.normal(40.0, 10.0, rows).astype("<f4"),
        "income": rng.exponential(2.0, rows).astype("<f4"),
        "city": rng.choice(np.array(CITIES, object), rows, p=[0.5, 0.3, 0.2]),
    }


def registry(*versions: str, rows: int = 4_000, risk: float = 0.1) -> MemoryRegistry:
    """A registry with these versions of the model, each with a profile of its own."""
    kept = MemoryRegistry()
    fill(kept, *versions, rows=rows, risk=risk)
    return kept


def fill(kept: Registry, *versions: str, rows: int = 4_000, risk: float = 0.1) -> None:
    """Publish these versions of the model."""
    for version in versions:
        rng = np.random.default_rng(int(version))
        inputs = reference(rng, rows)
        labels = rng.integers(0, 2, rows)
        wrong = rng.random(rows) < risk
        profile = build_profile(
            inputs, {}, labels=labels, predictions=np.where(wrong, 1 - labels, labels), held_out=True
        )
        artifact = f"model {version}".encode()
        digest = digest_of(artifact)
        content = encode_profile(identify(profile, model=MODEL, version=version, digest=digest))
        manifest = Manifest(
            name=MODEL,
            version=version,
            digest=digest,
            size=len(artifact),
            task="classification",
            label_output="label",
            profile_digest=digest_of(content),
        )
        kept.publish(manifest, artifact, content)


def settings(**changes: Any) -> MonitorSettings:
    """Settings for a fast stream: a small budget, few labels wanted."""
    values: dict[str, Any] = {
        "data": "unused",
        "models": "memory:",
        "webhooks": (Webhook(url="http://127.0.0.1:9/hook", secret=SECRET, name="receiver"),),
        "policy": PolicySettings(min_labelled=50, cooldown=60.0),
        "detection": DetectionSettings(budget_rows=1e6, idle_resolve=30.0, gather_rows=200),
        "ledger": LedgerSettings(),
    }
    return MonitorSettings(**(values | changes))


def identifiers(stream: int, first: int, rows: int) -> np.ndarray:
    """One id for each row, [rows, 16], scattered like real ones."""
    rng = np.random.default_rng([stream, first])
    return rng.integers(0, 256, (rows, 16)).astype("|u1")


class Traffic:
    """Writes frames of one model as a gateway would; every row has a known true label."""

    def __init__(self, seed: int = 0, stream: int = 1, version: str = "1") -> None:
        self.rng = np.random.default_rng(seed)
        self.stream = stream
        self.version = version
        self.digest = digest_of(f"model {version}".encode())
        self.sequence = 0
        self.time = START
        self.labels_sent = 0

    def predictions(
        self,
        rows: int,
        *,
        shift: float = 0.0,
        wrong: float = 0.1,
        arm: int = 1,
        kept: int = 1,
        trace: bytes = UNTRACED,
        validity: np.ndarray | None = None,
        left_out: int | None = None,
    ) -> tuple[bytes, list[LabelRow]]:
        """A frame of predictions, and the labels that will come for it.

        With `left_out` so many more behind them were not drawn, and its ids are those of IDS.
        """
        schema = prediction_schema(
            MODEL,
            self.version,
            self.digest,
            [("age", "<f4", ()), ("income", "<f4", ()), ("city", "bytes", ())],
            [("label", "<i8", ())],
        )
        inputs = reference(self.rng, rows)
        truth = self.rng.integers(0, 2, rows)
        said = np.where(self.rng.random(rows) < wrong, 1 - truth, truth)
        ids = identifiers(self.stream, self.sequence, rows)
        if left_out is not None:
            found = IDS.following(1, self.stream, self.sequence, rows)
            ids = np.frombuffer(b"".join(found), np.uint8).reshape(rows, 16)
        times = self.time + np.arange(rows) * 2_000_000
        columns = {
            **meta(rows, ids, times, arm=arm, kept=kept, trace=trace),
            "age": inputs["age"] + np.float32(10.0 * shift),
            "income": inputs["income"],
            "city": [city.encode() for city in inputs["city"]],
            "label": said,
        }
        frame = encode(
            Kind.PREDICTION,
            schema,
            columns,
            rows=rows,
            incarnation=1,
            stream=self.stream,
            first=self.sequence,
            end=self.sequence + rows + (left_out or 0),
            validity=validity,
        )
        self.sequence += rows + (left_out or 0)
        self.time += rows * 2_000_000
        rows_out = [
            LabelRow(value=int(value), time=int(time) + 10**9, id=identifier.tobytes())
            for value, time, identifier in zip(truth, times, ids, strict=True)
        ]
        return frame, rows_out

    def labels(self, rows: Sequence[LabelRow]) -> bytes:
        """A frame of labels."""
        first, self.labels_sent = self.labels_sent, self.labels_sent + len(rows)
        return encode(
            Kind.LABEL,
            label_schema(MODEL),
            label_columns(rows),
            rows=len(rows),
            incarnation=1,
            stream=1_000 + self.stream,
            first=first,
        )


def meta(
    rows: int, ids: np.ndarray, times: np.ndarray, *, arm: int = 1, kept: int = 1, trace: bytes = UNTRACED
) -> dict[str, Any]:
    """The metadata columns of rows that were answered."""
    return {
        "id": ids,
        "row": 0,
        "time": times,
        "arm": arm,
        "revision": 1,
        "outcome": 1,
        "latency": 100,
        "kept": kept,
        "client_id": [b""] * rows,
        "trace_id": np.tile(np.frombuffer(trace, "|u1"), (rows, 1)),
    }


def pairs(
    ids: np.ndarray,
    stable: Sequence[float],
    candidate: Sequence[float],
    *,
    first: int = 0,
    revision: int = 7,
    stable_outcome: int = 1,
    candidate_outcome: int = 1,
    dtype: str = "<i8",
) -> bytes:
    """A frame of shadow pairs of versions 1 (stable) and 2 (candidate)."""
    rows = len(ids)
    columns = {
        "id": ids,
        "row": 0,
        "time": START,
        "revision": revision,
        "answered_by": 1,
        "stable_outcome": stable_outcome,
        "candidate_outcome": candidate_outcome,
        "stable.label": list(stable),
        "candidate.label": list(candidate),
    }
    schema = pair_schema(MODEL, "1", "2", [("label", dtype, ())])
    return encode(Kind.PAIR, schema, columns, rows=rows, incarnation=1, stream=2_000, first=first)


def deletion(ids: Sequence[bytes]) -> bytes:
    """A frame that says that the first row of each of these predictions was deleted."""
    columns = {
        "id": np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16),
        "row": 0,
        "time": START,
        "reason": [b"asked for"] * len(ids),
        "actor": [b"operator"] * len(ids),
    }
    schema = deletion_schema(MODEL)
    return encode(Kind.DELETION, schema, columns, rows=len(ids), incarnation=0, stream=0, first=0)


def retention(upto: str, rows: int, reason: bytes = b"retention") -> bytes:
    """A loss frame of the log's limits."""
    columns = {
        "time": 1, "kind": 0, "incarnation": 0, "stream": 0, "count": rows,
        "reason": [reason], "upto": [upto.encode()],
    }  # fmt: skip
    return encode(Kind.LOSS, loss_schema(), columns, rows=1, incarnation=0, stream=0, first=0)
