"""A shelf with the planted bundle on it, for all tests of the service."""

from pathlib import Path

import pytest

from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset
from tests.deploy.test_engine import bundle


@pytest.fixture
def shelf(dataset: Dataset, tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "shelf")
    shelf.publish(bundle(dataset))
    return shelf
