"""Where in a YAML text something is wrong: the line, and what the reader says of it, in one line.

Rules: what a library calls a text without a name ("<byte string>") is in no message; whoever read the text
names the file. It costs a second reading; but for doubts it is asked only where the first has failed.

Refuses to know: what the text is for.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import yaml
from yaml.constructor import SafeConstructor

_UNNAMED: Final = re.compile(r'\s+in "<\w+ string>", ')
_POSITION: Final = re.compile(r"\bin position (\d+)")
_PLACE: Final = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\[(\d+)\]|\.([^.\[]+)")
# As msgspec reads it.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
UNREADABLE: Final = (yaml.YAMLError, msgspec.DecodeError, ValueError, RecursionError)
"""What reading a YAML text raises: yaml's own, and Python's at a date, a number or too many brackets."""


def unreadable(error: Exception, content: bytes | str) -> str:
    """Why a text is no YAML, with the line, from what its reader raised (one of `UNREADABLE`)."""
    if isinstance(error, RecursionError):
        return "lists or mappings that stand too deep in each other"
    if type(error) is ValueError:
        return f"{error} in line {_line_of_value(content)}"

    def line(found: re.Match[str]) -> str:
        above = content[: int(found[1])]
        return f"in line {1 + _lines(above)}"

    # What was being read, and what was found instead, each begin a line of their own.
    told = re.sub(r"\n(?=\S)", ": ", str(error))
    return " ".join(_POSITION.sub(line, _UNNAMED.sub(" in ", told)).split())


def doubt(content: bytes | str, *, is_read: bool = False) -> str | None:
    """What two readers of a YAML text would take for two things: the first, and what to do; None: nothing.

    A name that stands twice in one mapping; a number that YAML 1.1 counts in another way than people do (010
    is 8 there, and 1:30 is 90). One of `UNREADABLE` for what is no YAML. By yaml's own reader in Python: that
    in C, ten times as quick, ends the process where brackets stand too deep in each other. A text that
    `is_read` already has passed that one.
    """
    for node in _nodes(yaml.compose(content, Loader=_LOADER if is_read else yaml.SafeLoader)):
        said = _doubled(node) if isinstance(node, yaml.MappingNode) else _miscounted(node)
        if said is not None:
            return said
    return None


def misfit(error: msgspec.ValidationError, content: bytes) -> str:
    """Why a readable YAML text is not what was wanted, with the line: "line 3, hash: expected …"."""
    found = _PLACE.match(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), "")
    name = f", {path.rpartition('.')[2]}" if "." in path else ""
    return f"line {_line(content, path)}{name}: {what[:1].lower()}{what[1:]}"


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """Every node, each once, however many aliases lead to it, and be it to itself."""
    seen: set[int] = set()
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)


def _doubled(node: yaml.MappingNode) -> str | None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            return f"{key.value} stands there again in line {key.start_mark.line + 1}; remove one"
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
    return None


def _miscounted(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in (_INT, _FLOAT):
        return None
    counted = SafeConstructor().construct_object(node)
    text = node.value.replace("_", "")
    is_decimal = node.tag == _INT and text.lstrip("+-").isdigit()
    if int(text) == counted if is_decimal else ":" not in text:
        return None
    return (
        f"{node.value} in line {node.start_mark.line + 1} is {counted} to YAML: wanted a number that begins "
        "with no 0 and has no colon, or quotes around a text; write what is meant"
    )


def _line_of_value(content: bytes | str) -> int:
    """The line of the first value that is written as a date or as a number and is none."""
    for node in _nodes(yaml.compose(content, Loader=_LOADER)):
        try:
            if isinstance(node, yaml.ScalarNode):
                SafeConstructor().construct_object(node)
        except ValueError:
            return node.start_mark.line + 1
    return 1


def _lines(text: bytes | str) -> int:
    return text.count("\n") if isinstance(text, str) else text.count(b"\n")


def _line(content: bytes, path: str) -> int:
    """The line of what stands at a path such as "[0].scopes[1]", or of the last above it that is there."""
    node = yaml.compose(content, Loader=_LOADER)
    for index, name in _STEP.findall(path):
        inner: yaml.Node | None = None
        if isinstance(node, yaml.SequenceNode) and index and int(index) < len(node.value):
            inner = node.value[int(index)]
        elif isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == name), None)
        if inner is None:
            break
        node = inner
    return 1 if node is None else node.start_mark.line + 1
