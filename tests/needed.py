"""What a test cannot do without, and not every machine has."""

import os
from typing import NoReturn

import pytest


def skip_without(what: str) -> NoReturn:
    """Skip a test, saying what it needs. Where CI has to bring that, the test fails instead."""
    if os.environ.get("NOTHING_IS_MISSING"):
        pytest.fail(f"CI must bring what this needs: {what}")
    pytest.skip(f"needs {what}")
