"""Certificates that a broker of crep's own can show its clients: a folder of the user's, of which one is in use.

Folder of a target (``settings: {tls: FOLDER}``)::

    server.pem  server.key      what clients are to trust
    expired.pem expired.key     the same, but out of date                     (for faults; may be absent)
    unknown.pem unknown.key     the same, of an authority that nobody trusts  (for faults; may be absent)
    trust/ca.pem                the authority of ``server`` and ``expired``, alone in its folder: the vendor's client
                                libraries trust every certificate that lies beside it
"""

from __future__ import annotations

import shutil
from pathlib import Path

from crep.harness.config.errors import UsageError

OWN, AUTHORITY = "server", "trust/ca.pem"
BAD = ("expired", "unknown")
CERTIFICATE, KEY = "certificate.pem", "key.pem"


def available(source: Path) -> tuple[str, ...]:
    """Those of `BAD` that the folder has."""
    return tuple(name for name in BAD if all((source / f"{name}.{kind}").is_file() for kind in ("pem", "key")))


def show(source: Path, name: str, shown: Path) -> None:
    """Put that certificate of the folder where the broker reads its own, which it does when it starts.

    Raises:
        UsageError: the folder lacks it, or the authority.
    """
    wanted = [(source / f"{name}.pem", CERTIFICATE), (source / f"{name}.key", KEY)]
    for file in (*[file for file, _ in wanted], source / AUTHORITY):
        if not file.is_file():
            raise UsageError(
                f"{file} is missing",
                hint=f"a target's tls folder holds {OWN}.pem, {OWN}.key and {AUTHORITY}, all in PEM form",
            )
    shown.mkdir(parents=True, exist_ok=True)
    for file, place in wanted:
        fresh = shown / f"{place}.new"
        shutil.copyfile(file, fresh)
        fresh.chmod(0o600)
        fresh.replace(shown / place)
