"""`figures workers`: how many times as much two workers answer as one, with a generator that is no limit.

A model that takes most of a millisecond for one row, of weights that fit into a processor's own cache,
keeps a worker busy at a rate that costs generator, log and monitor little. (Larger weights would measure the
memory, which the two share, and more rows the monitor.) Its runs stay on the loop, so that a worker is a
processor: with runs in threads one worker takes both. One and two workers in turns, each a `driftgate up` of
its own; the median of the rounds' ratios is the figure. Wants two processors.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from loadtests.bench import generator, works
from loadtests.subject import running

LEAST_RATIO: Final = 1.8
WIDE: Final = 256
SCORES: Final = 8
PRODUCTS: Final = 5
CONNECTIONS: Final = 16
WARM_S: Final = 0.5
ON_THE_LOOP: Final = {"runs": {"batching": "off", "inline": "100ms"}}


def square() -> onnx.ModelProto:
    """X [1, WIDE] → scores float32 [1, SCORES], by way of PRODUCTS products of two square matrices."""
    random = np.random.default_rng(4)
    nodes = [
        helper.make_node("Add", ["w", "X"], ["moved"]),
        *(
            helper.make_node("MatMul", ["moved" if at == 0 else f"product{at}", "w"], [f"product{at + 1}"])
            for at in range(PRODUCTS)
        ),
        helper.make_node("MatMul", [f"product{PRODUCTS}", "v"], ["many"]),
        helper.make_node("ReduceMean", ["many"], ["scores"], axes=[0], keepdims=1),
    ]
    weights = {
        name: numpy_helper.from_array(random.standard_normal((WIDE, wide)).astype(np.float32), name)
        for name, wide in (("w", WIDE), ("v", SCORES))
    }
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", wide])
        for name, wide in (("X", WIDE), ("scores", SCORES))
    ]
    graph = helper.make_graph(nodes, "square", tensors[:1], tensors[1:], list(weights.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answers(workers: int, seconds: float) -> tuple[float, float]:
    """Answers a second by so many workers, and the share of a processor that the generator took."""
    with tempfile.TemporaryDirectory(prefix="driftgate-workers-") as name:
        model = Path(name) / "models" / "m" / "1" / "model.onnx"
        work = works.Work("workers", model, 1, WIDE)
        work.model.parent.mkdir(parents=True)
        work.model.write_bytes(square().SerializeToString())
        with running(Path(name), workers=workers, settings=ON_THE_LOOP) as subject:
            url = f"{subject.http}/v2/models/m/infer"
            body, headers = work.request()
            request = generator.request_bytes(url, body, headers)
            generator.closed_loop(url, request, connections=CONNECTIONS, seconds=WARM_S)
            before = _own_seconds()
            tally = generator.closed_loop(url, request, connections=CONNECTIONS, seconds=seconds)
            if tally.bad:
                raise RuntimeError(f"{tally.bad} requests failed")
            return tally.done / tally.seconds, (_own_seconds() - before) / tally.seconds


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every round; 0 where two workers answer enough more."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.figures workers", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn (default 4)")
    asked = parser.parse_args(arguments)
    ratios = []
    for _ in range(asked.rounds):
        (one, alone), (two, busy) = answers(1, asked.seconds), answers(2, asked.seconds)
        ratios.append(two / one)
        print(
            f"one {one:.0f} a second (generator {alone:.2f} of a processor), two {two:.0f} ({busy:.2f}) "
            f"= {ratios[-1]:.2f} ×"
        )
    found = statistics.median(ratios)
    print(f"two workers answer {found:.2f} times as much as one; wanted {LEAST_RATIO:g}")
    return 0 if found >= LEAST_RATIO else 1
