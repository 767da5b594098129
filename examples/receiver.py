"""Receive webhooks: verify the signature, answer at once, print what came.

python examples/receiver.py PORT SECRET_FILE
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FIVE_MINUTES = 300


def authentic(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is ours (Standard Webhooks), and the delivery is recent."""
    identifier, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > FIVE_MINUTES:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{identifier}.{timestamp}.".encode() + body
    ours = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(ours.encode(), one.encode()) for one in given)


class Endpoint(BaseHTTPRequestHandler):
    """Takes deliveries at any path."""

    secret = ""

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        good = authentic(self.secret, {name.lower(): value for name, value in self.headers.items()}, body)
        self.send_response(202 if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()
        if good:
            event = json.loads(body)
            print(f"{event['type']} {event['subject']}", flush=True)


def main(port: int, secret: Path) -> None:
    """Serve for ever."""
    Endpoint.secret = secret.read_text().strip()
    HTTPServer(("127.0.0.1", port), Endpoint).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
