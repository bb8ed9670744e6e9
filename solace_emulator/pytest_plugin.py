"""pytest fixtures: a Solace broker for each test, without a container.

Load it with ``pytest -p crep.solace_emulator.pytest_plugin`` or, in the top ``conftest.py``,
``pytest_plugins = ["crep.solace_emulator.pytest_plugin"]``. It is the one module here that needs pytest.
"""

from collections.abc import Iterator

import pytest

from .testing import EmulatorProcess, SolaceBroker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting ``solace_emulator_options``."""
    parser.addini(
        "solace_emulator_options",
        "options of the Solace emulator, for example: --log-level debug",
        type="args",
        default=["--sync", "never"],  # the process outlives every test, so that nothing has to reach the disk
    )


@pytest.fixture(scope="session")
def solace_emulator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatorProcess]:
    """One emulator for the session, started when the first test wants it."""
    started = EmulatorProcess(
        tmp_path_factory.mktemp("solace-emulator"), request.config.getini("solace_emulator_options")
    )
    yield started
    started.stop()


@pytest.fixture
def solace_broker(solace_emulator: EmulatorProcess) -> Iterator[SolaceBroker]:
    """A message VPN of this test's own; it goes with its queues, and what is still connected is disconnected."""
    broker = solace_emulator.new_broker()
    yield broker
    broker.close()
