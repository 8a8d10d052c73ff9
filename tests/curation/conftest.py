"""The toy policy with its labels of tier 3, as an object."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from tests.conftest import ESCALATED, POLICY
from train.policy import Policy


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy(**YAML(typ="safe").load(POLICY + ESCALATED))
