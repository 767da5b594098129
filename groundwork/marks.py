"""Where in a YAML text something is wrong: the line, and what the reader says of it, in one line.

Rules: what a library calls a text without a name ("<byte string>") is in no message; whoever read the text
names the file. It costs a second reading, and is asked only where the first has failed.

Refuses to know: what the text is for.
"""

import re
from typing import Final

import msgspec
import yaml

_UNNAMED: Final = re.compile(r'\s+in "<\w+ string>", ')
_POSITION: Final = re.compile(r"\bin position (\d+)")
_PLACE: Final = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\[(\d+)\]|\.([^.\[]+)")
# As msgspec reads it.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def unreadable(error: Exception, content: bytes | str) -> str:
    """Why a text is no YAML, with the line, from what its reader raised."""

    def line(found: re.Match[str]) -> str:
        above = content[: int(found[1])]
        return f"in line {1 + _lines(above)}"

    # What was being read, and what was found instead, each begin a line of their own.
    told = re.sub(r"\n(?=\S)", ": ", str(error))
    return " ".join(_POSITION.sub(line, _UNNAMED.sub(" in ", told)).split())


def misfit(error: msgspec.ValidationError, content: bytes) -> str:
    """Why a readable YAML text is not what was wanted, with the line: "line 3, hash: expected …"."""
    found = _PLACE.match(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), "")
    name = f", {path.rpartition('.')[2]}" if "." in path else ""
    return f"line {_line(content, path)}{name}: {what[:1].lower()}{what[1:]}"


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
