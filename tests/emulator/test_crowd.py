"""The common bounds of all connections, with a clock that the test sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from crep.solace_emulator.crowd import Crowd


@dataclass(eq=False)
class One:
    """A connection that notes why it was closed, and leaves as a real one does."""

    crowd: Crowd
    heard_at: float = 0.0
    silence_seconds: float | None = None
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.crowd.join(self)

    def close(self, reason: str) -> None:
        """Note it and leave."""
        self.reasons.append(reason)
        self.crowd.leave(self)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def run(self, crowd: Crowd, seconds: float) -> None:
        """Let time go by in steps, with a tick at each."""
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            crowd.tick()


def test_the_newcomer_that_has_waited_longest_makes_room() -> None:
    crowd = Crowd(Clock(), newcomers=2)
    first, second = One(crowd), One(crowd)
    crowd.known(first)
    third, fourth = One(crowd), One(crowd)
    assert [bool(one.reasons) for one in (first, second, third, fourth)] == [False, True, False, False]


def test_one_more_than_there_are_files_for_is_turned_away_and_nobody_else() -> None:
    crowd = Crowd(Clock(), most=2)
    ones = [One(crowd) for _ in range(3)]
    assert [bool(one.reasons) for one in ones] == [False, False, True]
    crowd.leave(ones[0])
    assert not One(crowd).reasons


def test_the_oldest_half_frame_goes_when_all_of_them_are_too_much() -> None:
    clock = Clock()
    crowd = Crowd(clock, half_bytes=100)
    old, busy, new = One(crowd), One(crowd), One(crowd)
    crowd.holds(busy, 10)
    clock.now += 1
    crowd.holds(old, 40)
    clock.now += 1
    crowd.holds(busy, 20, anew=True)  # its first frame is whole, another has begun
    crowd.holds(new, 50)
    assert [bool(one.reasons) for one in (old, busy, new)] == [True, False, False]
    assert crowd.half_bytes == 70
    crowd.holds(busy, 0)
    crowd.leave(new)
    assert crowd.half_bytes == 0


def test_a_frame_has_its_time_however_slowly_it_comes() -> None:
    clock = Clock()
    crowd = Crowd(clock, half_seconds=10)
    slow, streaming = One(crowd), One(crowd)
    for size in range(1, 30):
        crowd.holds(slow, size)
        crowd.holds(streaming, size, anew=True)
        clock.run(crowd, 1)
        if slow.reasons:
            break
    assert "not whole after 10 s" in slow.reasons[0]
    assert not streaming.reasons


def test_silence_counts_from_the_last_word_and_never_while_the_broker_itself_was_stopped() -> None:
    clock = Clock()
    crowd = Crowd(clock)
    one = One(crowd, heard_at=clock.now, silence_seconds=9.0)
    clock.now += 60  # SIGSTOP: no tick in between
    clock.run(crowd, 8)
    assert not one.reasons
    one.heard_at = clock.now
    clock.run(crowd, 8)
    assert not one.reasons
    clock.run(crowd, 2)
    assert "silent for 9 s" in one.reasons[0]
