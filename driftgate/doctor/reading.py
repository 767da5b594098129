"""Reads of `rollouts.db` for checks that can do without it: `state` says what ails the file itself."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import TypeVar

from driftgate.doctor.finding import Subject
from groundwork.database import open_database
from groundwork.errors import DriftgateError
from rollouts import tables

T = TypeVar("T")


def read_rollouts(subject: Subject, query: Callable[[sqlite3.Connection], Iterable[T]]) -> list[T]:
    """What `query` finds; nothing where the store is not there, or cannot be read."""
    path = subject.data / "rollouts.db"
    if not path.exists():
        return []
    with (
        contextlib.suppress(DriftgateError, sqlite3.Error),
        contextlib.closing(open_database(path, tables.SCHEMA, readonly=True)) as connection,
    ):
        return list(query(connection))
    return []
