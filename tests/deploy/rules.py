"""The alert rules as Kubernetes wants them: the groups of the plain rule file inside a PrometheusRule.

`python -m tests.deploy.rules > k8s/overlays/prometheus/rules.yaml` writes it again after a change.
"""

import sys
from pathlib import Path
from typing import Final

from tests.sources import ROOT

FOLDER: Final = ROOT / "k8s" / "overlays" / "prometheus"
PLAIN: Final = FOLDER / "driftgate.rules.yml"
WRAPPED: Final = FOLDER / "rules.yaml"
HEAD: Final = """\
# Made from driftgate.rules.yml by `python -m tests.deploy.rules`; edit that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: driftgate
spec:
"""


def wrapped(plain: Path = PLAIN) -> str:
    """The text of the PrometheusRule."""
    groups = plain.read_text().partition("groups:\n")
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in _lines(groups[1] + groups[2]))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    sys.stdout.write(wrapped())
