from __future__ import annotations

import socket

import pytest

from crep.harness.config.address import Address
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.workers import link
from crep.harness.workers.fleet import Fleet


def test_a_machine_without_locust_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFailure, match=r"not installed here\n.*pip install locust"):
        Fleet(2, Address("127.0.0.1", 0)).__enter__()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFailure, match=rf"cannot listen at 127\.0\.0\.1:{port}: .*in use"):
            Fleet(2, Address("127.0.0.1", port)).__enter__()
