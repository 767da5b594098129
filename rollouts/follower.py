"""Following the routes from another process: a question that costs microseconds while nothing has changed.

The follower keeps a connection of its own, because SQLite's `data_version` never changes for the writes of
the connection that asks. It hands out whole routing tables, never single edits; who gets one swaps a
pointer.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from groundwork.database import open_database, unreadable
from groundwork.errors import StoreError
from rollouts import tables
from rollouts.route import Route
from rollouts.store import SqliteStore


class Follower:
    """One reader's place in the store; not for use by several threads at once."""

    def __init__(self, store: SqliteStore) -> None:
        self._path: Path = store.path
        self._connection = open_database(store.path, tables.SCHEMA, readonly=True)
        self._version = -1
        self._revisions: dict[str, int] | None = None

    def poll(self) -> Mapping[str, Route] | None:
        """Return every route when any has changed since the last call (always at the first), else None.

        About 6 µs while nobody has written to the store at all.

        Raises:
            StoreError: The store cannot be read; the caller keeps the routes it has.
        """
        try:
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return None
            revisions = tables.read_revisions(self._connection)
            routes = tables.read_routes(self._connection) if revisions != self._revisions else None
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path}: routes could not be read ({error}); the last ones stand"
            ) from error
        except msgspec.DecodeError as error:
            raise unreadable(self._connection, self._path, tables.SCHEMA, error) from error
        self._version = version
        if routes is not None:
            self._revisions = {model: route.revision for model, route in routes.items()}
        return routes

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
