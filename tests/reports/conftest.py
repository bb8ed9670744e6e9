"""One comparison and one set of rendered files, shared: drawing them takes longest."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.reports import Comparison, compile_comparison, render
from tests.reports import factories


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """What the demo leaves."""
    return compile_comparison(factories.demo())


@pytest.fixture(scope="session")
def rendered(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Its report, by format."""
    return {path.suffix[1:]: path for path in render(comparison, tmp_path_factory.mktemp("report"))}
