"""How one model's graph is run: what the settings say of it, of every model, and of nothing in particular.

Rules: an option that a model's own entry leaves out is taken from the entry `*`, one that this leaves out too
has its default; merging happens here and nowhere else. It knows no runtime.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.run_settings import ANY_MODEL, ModelOptions, Optimisation, RunSettings
from groundwork import decoders

CPU: Final = "CPUExecutionProvider"


class RunOptions(msgspec.Struct, frozen=True):
    """What a session is made with.

    Attributes:
        threads: threads inside one node of the graph.
        branches: branches of the graph that run at once; 1 runs node after node.
        spin: whether threads that wait keep their cores busy: quicker on idle cores, harmful on shared ones.
        optimisation: how far the graph is rewritten when it is loaded.
        providers: execution providers in the order of preference; the last one stands in for what the others
            cannot run.
        provider_options: provider to options of its own.
        arena: whether memory of runs is kept for the next run.
        memory_pattern: whether one block is set aside for runs of a shape that was seen before.
    """

    threads: int = 1
    branches: int = 1
    spin: bool = False
    optimisation: Optimisation = "all"
    providers: tuple[str, ...] = (CPU,)
    provider_options: Mapping[str, Mapping[str, str]] = {}
    arena: bool = True
    memory_pattern: bool = True


PLAIN: Final = RunOptions()
"""What a model that no setting speaks of is run with."""


def options_of(runs: RunSettings, model: str) -> RunOptions:
    """The options of one model."""
    chosen: dict[str, object] = {"threads": runs.threads}
    for entry in (runs.models.get(ANY_MODEL), runs.models.get(model)):
        chosen |= {} if entry is None else _said(entry)
    return decoders.converted(chosen, RunOptions)


def _said(entry: ModelOptions) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not None}
