"""``bad-certificate``: a broker comes back from a restart with a certificate that its clients must not trust.

Who is connected is cut off by the restart and has to shake hands again, which must fail until the good one is back. One
that lets clients in all the same would be the finding: it is what ``confirmed`` looks for, with the target's own trust.
"""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

from crep.harness.brokers.contract import NotSupported
from crep.harness.faults.contract import Stage
from crep.harness.faults.on_nodes import OnNodes

_GRACE_S = 10.0
_HANDSHAKE_WITHIN_S = 2.0


class BadCertificate(OnNodes):
    """In effect when a handshake fails for the certificate's sake; healed when one succeeds again."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._kind = str(stage.event.parameters["kind"])
        if self._kind not in self.deployment.certificates:
            raise NotSupported(
                f"target {self.deployment.target!r} has no certificate of kind {self._kind!r} that it could show",
                hint="only an embedded Solace with 'settings: {tls: FOLDER}' has, where the folder holds "
                f"{self._kind}.pem and {self._kind}.key",
            )
        if self.deployment.outlives_us:
            raise NotSupported(
                f"target {self.deployment.target!r} is a standing broker: it would be left with the bad certificate "
                "if crep were killed",
                hint=f"end it first: crep broker stop {self.deployment.target}",
            )

    @property
    def subject(self) -> str:
        """The nodes and the kind of certificate."""
        return f"{super().subject} ({self._kind})"

    def inject(self) -> int:
        """Restart with the bad one; returns when that began."""
        return self._restart(self._kind)

    def confirmed(self) -> bool:
        """Whether no node's certificate is trusted, and one was looked at."""
        verdicts = self._handshakes()
        return False in verdicts and True not in verdicts

    def heal(self) -> None:
        """Restart with the good one."""
        self._restart(None)

    def healed(self) -> bool:
        """Whether the nodes answer and are trusted."""
        verdicts = self._handshakes()
        return self.answering() and True in verdicts and False not in verdicts

    def _restart(self, name: str | None) -> int:
        began = time.monotonic_ns()
        for node in self.nodes:
            self.deployment.show_certificate(node, name)
            if self.deployment.node_pid(node) is not None:
                self.deployment.stop_node(node, _GRACE_S)
            self.deployment.start_node(node)
        return began

    def _handshakes(self) -> list[bool | None]:
        """For each address of the broker whether its certificate is trusted; None: nobody shook hands."""
        return [self._trusted(address) for address in (self.deployment.endpoint().smf or "").split(",")]

    def _trusted(self, address: str) -> bool | None:
        where, tls = urlsplit(address), self.deployment.endpoint().tls
        context = ssl.create_default_context(cafile=None if tls is None else tls.ca_file)
        context.check_hostname = tls is not None and tls.verify_host
        try:
            with socket.create_connection((where.hostname or "", where.port or 0), _HANDSHAKE_WITHIN_S) as plain:
                context.wrap_socket(plain, server_hostname=where.hostname).close()
        except ssl.SSLCertVerificationError:
            return False
        except OSError:
            return None
        return True
