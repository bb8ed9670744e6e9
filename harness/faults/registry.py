"""Faults by the word that a timeline uses. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from crep.harness.brokers.contract import NotSupported
from crep.harness.faults.bad_certificate import BadCertificate
from crep.harness.faults.bandwidth import LimitBandwidth
from crep.harness.faults.connection_storm import ConnectionStorm
from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.crash_publisher import CrashPublisher
from crep.harness.faults.crash_reader import CrashReader
from crep.harness.faults.disconnect_clients import DisconnectClients
from crep.harness.faults.exec_hook import ExecHook
from crep.harness.faults.fill_disk import FillDisk
from crep.harness.faults.freeze_reader import FreezeReader
from crep.harness.faults.half_open import HalfOpenLinks
from crep.harness.faults.kill_broker import KillBroker
from crep.harness.faults.latency import AddLatency
from crep.harness.faults.limit_queue import LimitQueue
from crep.harness.faults.on_service import KillBridge, PauseBridge, StopBridge
from crep.harness.faults.partition import Partition
from crep.harness.faults.pause_broker import PauseBroker
from crep.harness.faults.pause_reader import PauseReader
from crep.harness.faults.refuse import RefuseLinks
from crep.harness.faults.replay import Replay
from crep.harness.faults.reset import ResetLinks
from crep.harness.faults.revoke_permission import RevokePermission
from crep.harness.faults.rolling_restart import RollingRestart
from crep.harness.faults.scale import Scale
from crep.harness.faults.shut_queue import ShutQueue
from crep.harness.faults.slow_reader import SlowReader
from crep.harness.faults.stall import StallLinks
from crep.harness.faults.stop_broker import StopBroker
from crep.harness.faults.throttle_publishers import ThrottlePublishers

PROCESSES = "source local or embedded"
ALL = "all"
SOLACE = "Solace by SEMP"
LINKS = "source local or embedded, started for the run; clusters always"


@dataclass(frozen=True)
class FaultKind:
    """What ``crep list faults`` prints, and how to make one.

    ``make`` raises `NotSupported` where the target cannot, before any load is sent; it may ask the broker, and changes
    nothing. ``acts_on``: clients are crep's own; a broker may be failed only where crep started it or its target says
    ``allow_faults: true``; links need a proxy before the broker, which runs without such a fault do without.
    """

    action: str
    summary: str
    parameters: str
    targets: str
    make: Callable[[Stage], Fault]
    acts_on: Literal["broker", "clients", "links"] = "broker"


FAULTS: dict[str, FaultKind] = {
    kind.action: kind
    for kind in (
        FaultKind("kill-broker", "SIGKILL a broker, start it again", "node, restart_after", PROCESSES, KillBroker),
        FaultKind("stop-broker", "SIGTERM it, start it again", "node, restart_after, grace", PROCESSES, StopBroker),
        FaultKind("pause-broker", "SIGSTOP a broker, SIGCONT it", "node, resume_after", PROCESSES, PauseBroker),
        FaultKind("restart-broker", "SIGTERM a broker, start it at once", "node, grace", PROCESSES, StopBroker),
        FaultKind(
            "rolling-restart",
            "restart every broker, each when the one before is back in step",
            "grace",
            PROCESSES,
            RollingRestart,
        ),
        FaultKind("exec", "run commands of your own", "hook, for", "those with 'exec:' of that name", ExecHook),
        FaultKind(
            "kill-bridge",
            "SIGKILL the bridge that fills a channel, start it again",
            "channel, restart_after",
            ALL,
            KillBridge,
            acts_on="clients",
        ),
        FaultKind(
            "stop-bridge",
            "SIGTERM it, start it again",
            "channel, restart_after, grace",
            ALL,
            StopBridge,
            acts_on="clients",
        ),
        FaultKind(
            "pause-bridge", "SIGSTOP it, SIGCONT it", "channel, resume_after", ALL, PauseBridge, acts_on="clients"
        ),
        FaultKind(
            "replay",
            "let the replay service send again what was captured last",
            "channel, last, pace",
            ALL,
            Replay,
            acts_on="clients",
        ),
        FaultKind(
            "pause-reader",
            "let a reader stand still while publishers go on, then drain its backlog",
            "reader, resume_after",
            ALL,
            PauseReader,
            acts_on="clients",
        ),
        FaultKind(
            "slow-reader",
            "let every member take longer for each message",
            "reader, processing, for",
            ALL,
            SlowReader,
            acts_on="clients",
        ),
        FaultKind(
            "freeze-reader",
            "SIGSTOP members of a reader, SIGCONT them",
            "reader, members, resume_after",
            ALL,
            FreezeReader,
            acts_on="clients",
        ),
        FaultKind(
            "crash-reader",
            "SIGKILL members of a reader, start them again",
            "reader, members, restart_after",
            ALL,
            CrashReader,
            acts_on="clients",
        ),
        FaultKind(
            "crash-publisher",
            "SIGKILL publishers, start them again; they go on behind what they may have sent",
            "publishers, clients, restart_after",
            ALL,
            CrashPublisher,
            acts_on="clients",
        ),
        FaultKind(
            "scale",
            "let members join a reader, or leave it",
            "reader, to, back_after",
            ALL,
            Scale,
            acts_on="clients",
        ),
        FaultKind(
            "connection-storm",
            "let many short-lived clients connect over a time",
            "channel, connections, over",
            ALL,
            ConnectionStorm,
            acts_on="clients",
        ),
        FaultKind(
            "revoke-permission",
            "take the right to publish to a channel, or to receive from it, from connected clients",
            "channel, right, for",
            "Solace by SEMP; Kafka with an authorizer, as every local one has",
            RevokePermission,
        ),
        FaultKind(
            "limit-queue",
            "lower the quota of a reader's queue, so that what does not fit is discarded",
            "reader, quota, tell_publishers, for",
            SOLACE,
            LimitQueue,
        ),
        FaultKind(
            "shut-queue",
            "shut the ingress or the egress of a reader's queue",
            "reader, gate, tell_publishers, for",
            SOLACE,
            ShutQueue,
        ),
        FaultKind(
            "throttle-publishers",
            "let publishers send so many bytes a second and no more",
            "publishers, per_second, for",
            "Kafka without a login (client quota)",
            ThrottlePublishers,
        ),
        FaultKind(
            "disconnect-publishers",
            "end publishers' connections at the broker",
            "publishers",
            SOLACE,
            DisconnectClients,
        ),
        FaultKind("disconnect-reader", "end a reader's connections at the broker", "reader", SOLACE, DisconnectClients),
        FaultKind(
            "bad-certificate",
            "restart a broker with a certificate that clients must not trust",
            "node, kind, for",
            "embedded Solace with certificates",
            BadCertificate,
        ),
        FaultKind("fill-disk", "let no file of a broker grow", "node, room, for", PROCESSES, FillDisk),
        FaultKind(
            "latency",
            "let every byte arrive later",
            "of, to, add, jitter, direction, for",
            LINKS,
            AddLatency,
            acts_on="links",
        ),
        FaultKind(
            "bandwidth",
            "let no more than so many bytes a second pass",
            "of, to, per_second, direction, for",
            LINKS,
            LimitBandwidth,
            acts_on="links",
        ),
        FaultKind(
            "stall", "let nothing pass, and lose nothing", "of, to, direction, for", LINKS, StallLinks, acts_on="links"
        ),
        FaultKind("reset", "end open connections by RST", "of, to", LINKS, ResetLinks, acts_on="links"),
        FaultKind("refuse", "refuse new connections", "of, to, for", LINKS, RefuseLinks, acts_on="links"),
        FaultKind(
            "half-open",
            "let one side vanish without a word",
            "of, to, direction, for",
            LINKS,
            HalfOpenLinks,
            acts_on="links",
        ),
        FaultKind(
            "partition",
            "cut everything between two parties",
            "between, how, for",
            LINKS,
            Partition,
            acts_on="links",
        ),
    )
}


def make_fault(stage: Stage) -> Fault:
    """The fault of a timeline's event.

    Raises:
        NotSupported: the target cannot, or may not be failed; found before any load is sent.
    """
    kind, deployment = FAULTS[stage.event.action], stage.deployment
    fault = kind.make(stage)  # first: a target that cannot is not helped by being allowed to
    if kind.acts_on == "broker" and not deployment.allow_faults:
        raise NotSupported(
            f"{kind.action}: target {deployment.target!r} was not started by crep, which therefore leaves it alone",
            hint="if this broker may be failed, say so in its target: allow_faults: true",
        )
    return fault
