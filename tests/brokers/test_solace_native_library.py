"""The declarations of the C library: what is not as expected is said, and never called."""

from __future__ import annotations

import ctypes.util

import pytest
import solace

from crep.harness.brokers.solace.native import library
from crep.harness.brokers.solace.native.library import NativeClientUnavailable


def test_the_wheels_library_has_every_declared_function_and_a_known_version() -> None:
    loaded = library.load()
    assert loaded.path.endswith((".so", ".dylib", ".dll"))
    library.require_known(loaded.version)


def test_the_packages_own_declarations_stay_untouched() -> None:
    loaded = library.load()
    assert solace.CORE_LIB.solClient_msg_getMsgId.argtypes != loaded.calls.msg_getMsgId.argtypes


@pytest.mark.parametrize(
    "version", ["7.33.0.3", "pubsubplus-python-client 1.11.0 / C API 7.33.0.3", "wrapper 2.0 / C API 7.40.1.0"]
)
def test_versions_whose_declarations_are_known_pass(version: str) -> None:
    library.require_known(version)


@pytest.mark.parametrize("version", ["7.32.9.9", "wrapper 2.0 / C API 8.0.0.0", "", "of the day", "7"])
def test_another_version_is_refused_by_name(version: str) -> None:
    with pytest.raises(NativeClientUnavailable, match="client knows"):
        library.require_known(version)


def test_a_library_without_one_of_the_functions_is_refused_by_the_functions_name() -> None:
    with pytest.raises(NativeClientUnavailable, match="no function solClient_"):
        library.opened(ctypes.util.find_library("c") or "libc.so.6")


def test_a_file_that_is_no_library_is_refused() -> None:
    with pytest.raises(NativeClientUnavailable, match="cannot be opened"):
        library.opened(__file__)


def test_a_failed_call_is_said_in_the_librarys_own_words() -> None:
    loaded = library.load()
    with pytest.raises(library.BrokerError, match=r"connect: .*\(SOLCLIENT_SUBCODE_"):
        loaded.check(loaded.calls.session_connect(None), "connect")
