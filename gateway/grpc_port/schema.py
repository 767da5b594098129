"""The messages of a .proto file of ours, made when the port opens, in a pool that nobody else can see.

Rules: no generated code is kept, and nothing is registered in protobuf's own pool: released clients register
the package `inference` there, and a second one in the same process would be an error. What is read of the
language is what our files use: messages, enumerations, oneofs, maps, repeated fields, services; anything else
is an error at start, found by the tests.

It knows no field by name.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from groundwork.errors import DriftgateError

_TOKEN: Final = re.compile(r'//[^\n]*|\s+|("[^"]*"|[\w.]+|[{}<>()=;,])')
_SCALARS: Final = MappingProxyType(
    {
        name: getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")
        for name in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
    }
)


class SchemaError(DriftgateError):
    """A .proto file that says something which is not read here."""

    code = "proto-unreadable"


class Method(msgspec.Struct, frozen=True):
    """One method of a service: the classes of its messages, and which sides are streams."""

    asked: Any
    answered: Any
    streams_in: bool
    streams_out: bool


class Schema(msgspec.Struct, frozen=True):
    """A file: its messages by their name in it, and the methods of its one service by name."""

    service: str
    """The service's full name, `package.Service`."""
    messages: Mapping[str, Any]
    methods: Mapping[str, Method]


class _Calls(msgspec.Struct, frozen=True):
    """A method as it is written: names of messages."""

    asked: str
    answered: str
    streams_in: bool
    streams_out: bool


def read(path: Path) -> Schema:
    """The schema of a file of ours; SchemaError where it says what is not read here. About 3 ms."""
    reader = _Reader(path.name, path.read_text())
    reader.file()
    pool = descriptor_pool.DescriptorPool()
    pool.Add(reader.found)
    package = reader.found.package
    messages = {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message.name}"))
        for message in reader.found.message_type
    }
    methods = {
        name: Method(messages[call.asked], messages[call.answered], call.streams_in, call.streams_out)
        for name, call in reader.methods.items()
    }
    return Schema(f"{package}.{reader.service}", MappingProxyType(messages), MappingProxyType(methods))


class _Reader:
    """Reads one file from its first token to its last."""

    def __init__(self, name: str, text: str) -> None:
        self.found = FileDescriptorProto(name=f"driftgate/{name}", syntax="proto3")
        self.service = ""
        self.methods: dict[str, _Calls] = {}
        self._enumerations: set[str] = set(re.findall(r"\benum (\w+)", text))
        self._tokens = _tokens(name, text)
        self._next = next(self._tokens, "")

    def file(self) -> None:
        """All statements."""
        while self._next:
            word = self._take()
            if word == "syntax":
                self._expect("=", '"proto3"', ";")
            elif word == "package":
                self.found.package = self._take()
                self._expect(";")
            elif word == "message":
                self._message(self.found.message_type.add(), f".{self.found.package}")
            elif word == "enum":
                self._enumeration(self.found.enum_type.add())
            elif word == "service":
                self._service()
            else:
                raise self._strange(word)

    def _message(self, message: DescriptorProto, above: str) -> None:
        message.name = self._take()
        path = f"{above}.{message.name}"
        self._expect("{")
        while self._next != "}":
            word = self._take()
            if word == "message":
                self._message(message.nested_type.add(), path)
            elif word == "enum":
                self._enumeration(message.enum_type.add())
            elif word == "oneof":
                self._oneof(message)
            elif word == "map":
                self._map(message, path)
            elif word == "repeated":
                self._field(message, self._take(), FieldDescriptorProto.LABEL_REPEATED)
            else:
                self._field(message, word)
        self._expect("}")

    def _field(
        self, message: DescriptorProto, kind: str, label: Any = FieldDescriptorProto.LABEL_OPTIONAL
    ) -> FieldDescriptorProto:
        field = message.field.add(name=self._take(), label=label)
        self._typed(field, kind)
        self._expect("=")
        field.number = int(self._take())
        self._expect(";")
        return field

    def _typed(self, field: FieldDescriptorProto, kind: str) -> None:
        """What a field holds; a name is looked for from the inside out, as protobuf does."""
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
            return
        is_enumeration = kind in self._enumerations
        field.type = FieldDescriptorProto.TYPE_ENUM if is_enumeration else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = kind

    def _oneof(self, message: DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._take())
        self._expect("{")
        while self._next != "}":
            self._field(message, self._take()).oneof_index = index
        self._expect("}")

    def _map(self, message: DescriptorProto, path: str) -> None:
        """A map is a repeated message of key and value, by protobuf's own rule."""
        self._expect("<")
        key = self._take()
        self._expect(",")
        value = self._take()
        self._expect(">")
        field = self._field(message, "", FieldDescriptorProto.LABEL_REPEATED)
        entry = message.nested_type.add(name=f"{field.name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        for number, (name, kind) in enumerate((("key", key), ("value", value)), start=1):
            part = entry.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            self._typed(part, kind)
        field.type_name = f"{path}.{entry.name}"

    def _enumeration(self, enumeration: EnumDescriptorProto) -> None:
        enumeration.name = self._take()
        self._expect("{")
        while self._next != "}":
            name = self._take()
            self._expect("=")
            enumeration.value.add(name=name, number=int(self._take()))
            self._expect(";")
        self._expect("}")

    def _service(self) -> None:
        self.service = self._take()
        self._expect("{")
        while self._next != "}":
            self._expect("rpc")
            name = self._take()
            asked, streams_in = self._side()
            self._expect("returns")
            answered, streams_out = self._side()
            self._expect(";")
            self.methods[name] = _Calls(asked, answered, streams_in, streams_out)
        self._expect("}")

    def _side(self) -> tuple[str, bool]:
        """`(Name)` or `(stream Name)`."""
        self._expect("(")
        word = self._take()
        name = self._take() if word == "stream" else word
        self._expect(")")
        return name, word == "stream"

    def _take(self) -> str:
        taken, self._next = self._next, next(self._tokens, "")
        return taken

    def _expect(self, *wanted: str) -> None:
        for word in wanted:
            found = self._take()
            if found != word:
                raise self._strange(found, word)

    def _strange(self, found: str, wanted: str = "a statement") -> SchemaError:
        return SchemaError(f"{self.found.name}: wanted {wanted}, found {found[:40]!r}; see schema.py")


def _tokens(name: str, text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SchemaError(f"{name}: wanted a word of the language, found {text[at : at + 20]!r}")
        at = match.end()
        if match[1] is not None:
            yield match[1]
