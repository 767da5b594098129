"""The messages that are made from our .proto files."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from tritonclient.grpc import model_config_pb2, service_pb2

from gateway.grpc_port.schema import SchemaError, read
from tests.gateway.grpc_port.ports import HEALTH, SERVICE


def described(descriptor: Any) -> dict[int, Any]:
    """Fields by number, with those of nested messages."""
    fields = {}
    for field in descriptor.fields:
        below = described(field.message_type) if field.message_type else None
        options = (
            [(value.name, value.number) for value in field.enum_type.values] if field.enum_type else None
        )
        group = field.containing_oneof.name if field.containing_oneof else None
        fields[field.number] = (field.name, field.type, field.is_repeated, group, below, options)
    return fields


def is_within(ours: dict[int, Any], theirs: dict[int, Any]) -> bool:
    """Whether every field of ours is one of theirs, the nested ones too."""
    for number, (*facts, below, options) in ours.items():
        if number not in theirs:
            return False
        *known, known_below, known_options = theirs[number]
        if facts != known or options != known_options:
            return False
        if below is not None and not is_within(below, known_below):
            return False
    return True


@pytest.mark.parametrize("name", sorted(SERVICE.messages))
def test_our_messages_are_those_of_a_released_client(name: str) -> None:
    """Every field has the number, the type and the name that tritonclient has for it."""
    theirs = service_pb2.DESCRIPTOR.message_types_by_name.get(name)
    theirs = theirs or model_config_pb2.DESCRIPTOR.message_types_by_name[name]
    assert is_within(described(SERVICE.messages[name].DESCRIPTOR), described(theirs))


def test_the_core_messages_are_whole() -> None:
    """Nothing of what inference is made of is left out."""
    for name in ("ModelInferRequest", "ModelInferResponse", "InferTensorContents", "InferParameter"):
        theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]
        assert described(SERVICE.messages[name].DESCRIPTOR) == described(theirs)


def test_our_methods_are_those_of_a_released_client() -> None:
    """Each method has the messages and the streams that tritonclient expects."""
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert SERVICE.service == theirs.full_name
    for name, method in SERVICE.methods.items():
        known = theirs.methods_by_name[name]
        assert method.asked.DESCRIPTOR.name == known.input_type.name
        assert method.answered.DESCRIPTOR.name == known.output_type.name
        assert (method.streams_in, method.streams_out) == (known.client_streaming, known.server_streaming)


def test_nothing_is_registered_where_others_see_it() -> None:
    """Protobuf's own pool never hears of our files: a client in the same process has it for itself."""
    assert HEALTH.messages["HealthCheckRequest"].DESCRIPTOR.full_name == "grpc.health.v1.HealthCheckRequest"
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("driftgate/inference.proto")


@pytest.mark.parametrize(
    "text",
    [
        "import 'a.proto';",
        'syntax = "proto2";',
        "message A { string name = 1 }",
        "message A { string name = 1; ",
        "message A { reserved 1; }",
        "service A { option a = 1; }",
        "?",
    ],
)
def test_what_is_not_read_is_an_error(tmp_path: Path, text: str) -> None:
    """A statement outside the part of the language that we read is refused in one line."""
    file = tmp_path / "a.proto"
    file.write_text(text)
    with pytest.raises(SchemaError, match=r"a\.proto: wanted"):
        read(file)
