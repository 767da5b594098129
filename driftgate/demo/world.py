"""The demo's world: loan applications, and the rule by which they turn out good or bad.

Applications come from river's Agrawal generator with its real column names; the three columns that are codes
there (education, car make, zip code) are strings here. A world is one rule (a classification function of the
generator) and one public: who applies. The public is changed by *choosing* among the generator's rows, so a
label is always the generator's own and no rule is written twice.

Refuses to know: models, files, networks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import pandas as pd

EDUCATION: Final = ("none", "school", "college", "bachelor", "master")
NUMBERS: Final = ("salary", "commission", "age", "hvalue", "hyears", "loan")
TEXTS: Final = ("elevel", "car", "zipcode")
SENIOR: Final = 55
SUBURB: Final = frozenset({5, 6, 7, 8})
COLUMNS: Final = ("salary", "commission", "age", "elevel", "car", "zipcode", "hvalue", "hyears", "loan")


class World(msgspec.Struct, frozen=True):
    """A rule for the label and a public.

    `function` is the generator's, 0 to 9; `turnout` is the chance, 0 to 1, that an applicant comes.
    """

    name: str
    function: int
    turnout: Callable[[Mapping[str, float]], float]


def everyone(_row: Mapping[str, float]) -> float:
    """All who apply are seen."""
    return 1.0


def new_suburb(row: Mapping[str, float]) -> float:
    """Half as many people of 55 and more, and a new suburb (zip codes 5 to 8) that applies twice as often."""
    return (1.0 if row["age"] < SENIOR else 0.5) * (1.0 if row["zipcode"] in SUBURB else 0.45)


# The rule before uses age, education and salary; the rule after uses age, salary and loan. A model of the one
# is right on six of ten applications of the other.
BEFORE: Final = World("before", 3, everyone)
AFTER: Final = World("after", 4, new_suburb)


class Applications(msgspec.Struct, frozen=True):
    """Rows by column, each column a list as long as `labels`; numbers are floats, codes are strings."""

    columns: dict[str, list[Any]]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.labels)

    def frame(self) -> pd.DataFrame:
        """The columns as a DataFrame: float32 numbers, object strings."""
        import pandas as pd  # noqa: PLC0415  only training needs it, and it loads slowly

        data = pd.DataFrame(self.columns, columns=list(COLUMNS))
        return data.astype(dict.fromkeys(NUMBERS, "float32"))


class Stream:
    """An endless public of one world after the other; the same seed gives the same people."""

    def __init__(self, world: World, seed: int) -> None:
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311  a simulation, not a secret
        self.become(world)

    def become(self, world: World) -> None:
        """From the next row on, the world is `world`."""
        self._seed += 1
        self._world = world
        self._source = _agrawal(world.function, self._seed)

    def take(self, rows: int) -> Applications:
        """The next `rows` applications; about 20 µs a row."""
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        labels: list[int] = []
        while len(labels) < rows:
            row, label = next(self._source)
            if self._random.random() >= self._world.turnout(row):
                continue
            for name, values in columns.items():
                values.append(_value(name, row[name]))
            labels.append(label)
        return Applications(columns, labels)


def _agrawal(function: int, seed: int) -> Iterator[tuple[Mapping[str, float], int]]:
    from river.datasets import synth  # noqa: PLC0415  the command must not load river

    return iter(synth.Agrawal(classification_function=function, seed=seed))


def _value(name: str, value: float) -> float | str:
    if name == "elevel":
        return EDUCATION[int(value)]
    if name == "car":
        return f"make-{int(value):02d}"
    if name == "zipcode":
        return f"zip-{int(value)}"
    return float(value)
