"""``crash-publisher``: SIGKILL publishers, start them again ``restart_after`` later."""

from __future__ import annotations

from crep.harness.faults.crash_reader import CrashClients


class CrashPublisher(CrashClients):
    """They go on behind the last message that they may have sent. What has no outcome by then is *unknown*; what was
    due while they were away is sent late."""
