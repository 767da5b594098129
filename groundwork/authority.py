"""Whether a request says as HTTP wants it which version it speaks and whom it is for (RFC 9112, 2.3 and 3.2).

A server that answers what a proxy before it has read in another way answers somebody else's request. HTTP/1.0
knew no Host, and the health checks of old load balancers speak it.
"""

import re
from collections.abc import Sequence
from typing import Final

_HOST: Final = re.compile(rb"(?:[-\w.~%!$&'()*+,;=]*|\[[-\w.~%:]+\])(?::\d*)?", re.ASCII)


def fault(version: str, hosts: Sequence[bytes]) -> str:
    """Why to refuse a request of this version with these Hosts (a reason of `turned_away`), or nothing."""
    if version not in ("1.1", "1.0"):
        return "not-http"
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "no-host"
    return "" if all(is_host(host) for host in hosts) else "no-host"


def is_host(value: bytes) -> bool:
    """Whether it is a name or an address, and perhaps a port; nothing is one where the URL has none."""
    return _HOST.fullmatch(value) is not None
