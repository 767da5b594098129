"""onnxruntime, told to keep to itself before it loads, and the sessions that a model's options make.

Rules: what cannot be honoured is an error that names what there is; onnxruntime's own fallbacks (another
provider where one is missing or fails) are off, so that a graph runs where it was asked to or not at all.
onnxruntime writes a device id and a database into home and temporary folders as it is imported, unless it is
told not to before; that is why this file sets a variable first.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from gateway.errors import LoadError
from gateway.options import CPU, RunOptions
from groundwork.errors import SettingsError
from groundwork.processors import kind_of_processor

__all__ = ["available", "check_options", "engine", "onnxruntime", "open_session", "runtime_errors"]

_FATAL: Final = 4
_ENGINE_DIGITS: Final = 16
_LEVELS: Final = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def available() -> list[str]:
    """The execution providers of the onnxruntime that is installed."""
    return list(onnxruntime.get_available_providers())


def check_options(options: RunOptions, *, title: str) -> None:
    """SettingsError where the onnxruntime that is installed cannot honour the options; says what it has."""
    found = available()
    missing = [name for name in options.providers if name not in found]
    if missing:
        raise SettingsError(
            f"{title}: wanted the execution provider {missing[0]}, this onnxruntime "
            f"{onnxruntime.__version__} has {', '.join(found)}; install the onnxruntime that has it, or "
            "change runs.models"
        )
    if len(set(options.providers)) < len(options.providers):
        raise SettingsError(
            f"{title}: wanted each execution provider once, found {', '.join(options.providers)}; take out "
            "those that are there again"
        )
    for name, given in options.provider_options.items():
        if name not in options.providers:
            raise SettingsError(
                f"{title}: provider_options speaks of {name}, providers has {', '.join(options.providers)}; "
                "add it there, or take its options out"
            )
        if given and name == CPU:  # onnxruntime would ignore them
            raise SettingsError(f"{title}: {CPU} takes no provider_options, found {', '.join(given)}")


def engine() -> str:
    """What a rewritten graph is good for, in hex: a release of onnxruntime on a kind of processor."""
    told = f"{onnxruntime.__version__}\n{kind_of_processor()}"
    return hashlib.sha256(told.encode()).hexdigest()[:_ENGINE_DIGITS]


def open_session(path: Path, options: RunOptions, *, title: str, rewritten: Path | None = None) -> Any:
    """An onnxruntime session of the graph in `path`; whatever the runtime raises passes.

    `rewritten` is where the graph is written as the runtime has rewritten it.

    LoadError where it would run on other providers than the options name.
    """
    try:
        check_options(options, title=title)
    except SettingsError as error:
        raise LoadError(str(error)) from None
    session = onnxruntime.InferenceSession(
        str(path),
        sess_options=_session_options(options, rewritten),
        providers=list(options.providers),
        provider_options=[dict(options.provider_options.get(name, {})) for name in options.providers],
        enable_fallback=False,
    )
    taken = session.get_providers()
    refused = [name for name in options.providers if name not in taken]
    if refused:
        raise LoadError(
            f"{title}: wanted the execution provider {refused[0]}, onnxruntime could only start "
            f"{', '.join(taken)}; look at its libraries and devices, or change runs.models"
        )
    return session


def _session_options(options: RunOptions, rewritten: Path | None) -> Any:
    made = onnxruntime.SessionOptions()
    if rewritten is not None:
        made.optimized_model_filepath = str(rewritten)
    made.intra_op_num_threads = options.threads
    made.inter_op_num_threads = options.branches
    if options.branches > 1:
        made.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    made.graph_optimization_level = _LEVELS[options.optimisation]
    made.enable_cpu_mem_arena = options.arena
    made.enable_mem_pattern = options.memory_pattern
    made.log_severity_level = _FATAL
    if not options.spin:
        for pool in ("intra_op", "inter_op"):
            made.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    return made
