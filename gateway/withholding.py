"""What of a model's inputs and outputs is recorded as it is, as a keyed hash, or not at all.

Rules:

1. A treatment acts before a value is copied anywhere that outlives the request: in predictions, in shadow
   pairs, and in rejects, whose message may quote what a client sent and is left out for such a model.
2. Only a text can be hashed: equal texts of a column get equal hashes, and nobody without the folder's key
   can try out which text it was. A number has no room for a hash in its own dtype; where `hash` is asked for
   one, it is dropped and that is said.
3. An empty text stays empty, so that what is missing still counts as missing.
4. The column stays in the schema with its dtype, marked `withheld` or `hashed` with the key's name.

The key of a column follows from the folder's id key, the model and the column: the same text in two columns
has two hashes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.log_settings import Treatment
from gateway.run_settings import ANY_MODEL
from gateway.tensors import Tensor
from prediction_log.ids import PredictionIds
from prediction_log.record import Schema
from registry_client.signature import Datatype

NOT_SHOWN: Final = "not recorded: this model has columns that are withheld"
"""What stands in place of a reject's message."""

_HASH_BYTES: Final = 8
_NAME_DIGITS: Final = 8


class Hasher:
    """The keyed hash of one column's texts; `name` tells under which folder's key."""

    def __init__(self, key: bytes, name: str) -> None:
        self._key = key
        self.name = name

    def __call__(self, texts: Sequence[bytes]) -> list[bytes]:
        """16 hexadecimal digits for each text, an empty one for an empty one; about a microsecond each."""
        return [
            hashlib.blake2b(text, key=self._key, digest_size=_HASH_BYTES).hexdigest().encode()
            if text
            else b""
            for text in texts
        ]


class Withheld(msgspec.Struct, frozen=True):
    """What is done to one model's columns, by name; a column in neither is recorded as it is."""

    dropped: frozenset[str] = frozenset()
    hashed: Mapping[str, Hasher] = MappingProxyType({})

    def __bool__(self) -> bool:
        return bool(self.dropped or self.hashed)

    def marked(self, schema: Schema) -> Schema:
        """The same schema, whose columns say what was done to them."""
        if not self:
            return schema
        columns = []
        for column in schema.columns:
            name = column.origin.partition(".")[2] if schema.partner else column.origin
            if column.role == "meta" or (name not in self.dropped and name not in self.hashed):
                columns.append(column)
            elif name in self.hashed:
                columns.append(msgspec.structs.replace(column, hashed=self.hashed[name].name))
            else:
                columns.append(msgspec.structs.replace(column, withheld=True))
        return msgspec.structs.replace(schema, columns=tuple(columns))


NOTHING: Final = Withheld()


class Policy:
    """The treatments of all models; made once per worker from the setting `journal.columns`."""

    def __init__(self, columns: Mapping[str, Mapping[str, Treatment]], ids: PredictionIds) -> None:
        self._columns = columns
        self._secret = ids.secret
        self._name = ids.secret("name of the key of column hashes").hex()[:_NAME_DIGITS]

    def of(self, model: str, tensors: Sequence[Tensor]) -> Withheld:
        """What is done to the inputs and outputs of one version of a model."""
        asked = self._treatments(model)
        dropped, hashed = set(), {}
        for tensor in tensors:
            treatment = asked.get(tensor.name, "keep")
            if treatment == "hash" and can_hash(tensor):
                hashed[tensor.name] = Hasher(self._secret(f"column {model}\0{tensor.name}"), self._name)
            elif treatment != "keep":
                dropped.add(tensor.name)
        return Withheld(frozenset(dropped), hashed) if dropped or hashed else NOTHING

    def remarks(self, model: str, tensors: Sequence[Tensor]) -> list[str]:
        """What of the setting cannot be done as it says for this version, one line each."""
        known = {tensor.name: tensor for tensor in tensors}
        said = []
        for name, treatment in self._columns.get(model, {}).items():
            if name not in known:
                said.append(f"journal.columns.{model}: it has no column {name!r}, only {', '.join(known)}")
            elif treatment == "hash" and not can_hash(known[name]):
                said.append(f"journal.columns.{model}.{name}: only texts are hashed; it is dropped instead")
        return said

    def hides(self, model: str) -> bool:
        """Whether any column of this model, whatever its version, is not recorded as it is."""
        return any(treatment != "keep" for treatment in self._treatments(model).values())

    def _treatments(self, model: str) -> Mapping[str, Treatment]:
        return {**self._columns.get(ANY_MODEL, {}), **self._columns.get(model, {})}


def can_hash(tensor: Tensor) -> bool:
    """Whether a tensor holds texts, a fixed number of them in a row."""
    return tensor.datatype is Datatype.BYTES and tensor.row_shape is not None
