"""The sums of many heads at once are those that zlib computes one by one."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crep.harness.load.checksum import head_sums


@given(st.integers(0, 48), st.lists(st.tuples(st.binary(min_size=48, max_size=48), st.binary()), max_size=20))
def test_each_sum_is_that_of_the_payload_and_then_the_head(length: int, parts: list[tuple[bytes, bytes]]) -> None:
    heads = np.array([list(head[:length]) for head, _ in parts], np.uint8).reshape(len(parts), length)
    begun = np.array([zlib.crc32(payload) for _, payload in parts], np.uint32)
    expected = [zlib.crc32(payload + head[:length]) for head, payload in parts]
    assert head_sums(heads, begun).tolist() == expected
