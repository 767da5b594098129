"""Builders for registry tests: manifests, small graphs, frames and fitted pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from registry_client.manifest import Manifest, digest_of


def a_manifest(
    model: bytes = b"model", *, name: str = "fraud", version: str = "1", profile: bytes | None = None
) -> Manifest:
    """The manifest of these bytes."""
    return Manifest(
        name=name,
        version=version,
        digest=digest_of(model),
        size=len(model),
        profile_digest=None if profile is None else digest_of(profile),
        created="2024-05-01T00:00:00Z",
    )


def a_graph(factor: float = 2.0, *, output: str = "prediction", width: int = 1) -> bytes:
    """A graph that multiplies its one float input ``x`` of [rows, width]."""
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Mul", ["x", "factor"], [output])],
        "a graph",
        [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [onnx.helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, width])],
        [onnx.helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def loans(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Loan applications: float, integer, boolean and text columns, without gaps."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "salary (EUR)": random.normal(50_000, 12_000, rows),
            "age": random.integers(18, 80, rows),
            "owns home": random.random(rows) < 0.4,
            "car": random.choice(["audi", "bmw", "citroën"], rows),
        }
    )


def with_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """The same frame with missing salaries and cars."""
    holed = frame.copy()
    holed.loc[::7, "salary (EUR)"] = np.nan
    holed.loc[::11, "car"] = None
    return holed


def approvals(frame: pd.DataFrame) -> np.ndarray:
    """Whether the loan was approved: 0 or 1, mostly by salary."""
    score = frame["salary (EUR)"].fillna(45_000) + 200 * frame["age"] + 4_000 * (frame["car"] == "bmw")
    return np.asarray(score > 60_000, dtype=np.int64)


def pipeline(model: Any = None, encoder: Any = None) -> Pipeline:
    """An unfitted pipeline over the columns of ``loans``."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["salary (EUR)", "age"]),
            ("texts", encoder or OneHotEncoder(handle_unknown="ignore"), ["car"]),
            ("flags", "passthrough", ["owns home"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression() if model is None else model)])
