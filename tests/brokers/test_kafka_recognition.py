"""What counts as a genuine Apache Kafka, and the one protocol exchange that tells."""

from __future__ import annotations

import struct

import pytest

from crep.harness.brokers.kafka.facts import recognise
from crep.harness.brokers.kafka.features import Features, api_versions_request, parse_api_versions, release_of

APACHE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.request.timeout.ms": "2000",
    "log.dirs": "/var/lib/kafka",
}
KRAFT = Features({"metadata.version": 30}, {"metadata.version": 30})


@pytest.mark.parametrize(
    ("cluster_id", "features", "settings", "genuineness"),
    [
        ("MkU3OEVBNTcwNTJENDM2Qg", KRAFT, APACHE, "genuine"),
        ("mockCluster7f3a", KRAFT, APACHE, "mock"),
        ("MkU3OEVBNTcwNTJENDM2Qg", Features({}, {}), APACHE, "emulated"),
        ("MkU3OEVBNTcwNTJENDM2Qg", None, APACHE, "emulated"),
        ("MkU3OEVBNTcwNTJENDM2Qg", KRAFT, {"log.dirs": "/data"}, "emulated"),
        ("MkU3OEVBNTcwNTJENDM2Qg", KRAFT, None, "emulated"),
        (None, None, None, "emulated"),
    ],
)
def test_only_a_positively_recognised_kafka_is_genuine(
    cluster_id: str | None, features: Features | None, settings: dict[str, str] | None, genuineness: str
) -> None:
    found = recognise(cluster_id, features, settings)
    assert found.genuineness == genuineness
    assert found.evidence


@pytest.mark.parametrize(
    ("level", "release"), [(1, "3.0"), (7, "3.3"), (14, "3.6"), (21, "3.9"), (25, "4.0"), (27, "4.1"), (30, "4.3")]
)
def test_a_feature_level_names_its_release(level: int, release: str) -> None:
    assert release_of(level) == release


def test_a_level_beyond_the_table_is_shown_as_such() -> None:
    assert "31" in release_of(31)


def _answer(correlation: int = 7, error: int = 0) -> bytes:
    """One API key, throttle 0, supported and finalised metadata.version, in the flexible encoding."""
    name = b"metadata.version"
    feature = bytes([len(name) + 1]) + name
    supported = bytes([2]) + feature + struct.pack(">hh", 1, 30) + b"\0"
    finalized = bytes([2]) + feature + struct.pack(">hh", 29, 29) + b"\0"
    tags = bytes([3, 0, len(supported)]) + supported + bytes([1, 8]) + bytes(8) + bytes([2, len(finalized)]) + finalized
    return struct.pack(">ih", correlation, error) + bytes([2]) + struct.pack(">hhh", 18, 0, 4) + b"\0" + bytes(4) + tags


def test_the_answer_tells_supported_and_finalised_levels() -> None:
    assert parse_api_versions(_answer()) == Features({"metadata.version": 30}, {"metadata.version": 29})


@pytest.mark.parametrize("cut", range(len(_answer())))
def test_a_truncated_answer_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="truncated"):
        parse_api_versions(_answer()[:cut])


def test_an_answer_to_something_else_and_a_refusal_are_told() -> None:
    with pytest.raises(ValueError, match="correlation"):
        parse_api_versions(_answer(correlation=8))
    with pytest.raises(ValueError, match="error 35"):
        parse_api_versions(_answer(error=35))


def test_the_request_states_its_own_length() -> None:
    request = api_versions_request()
    assert struct.unpack(">i", request[:4])[0] == len(request) - 4
