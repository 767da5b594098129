"""What tests of the doctor share."""

from pathlib import Path

import pytest

from tests.driftgate.doctor.patients import Patient


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """One that is well, but for a dead worker's rows."""
    return Patient(tmp_path)
