"""What a fresh Solace container needs before it is one of ours: leadership of the configuration, and message VPNs.

Everything is asked for first and done only where it is missing, so settling a settled broker changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx
import xmltodict

from crep.harness.brokers.contract import BrokerError, Endpoint, Json
from crep.harness.brokers.solace.semp import ALREADY_EXISTS, NOT_FOUND, Semp, SempError, path_of
from crep.harness.deployment.contract import DeploymentError, Progress

SPOOL_MB = 1500
"""Of each message VPN: what the VPN ``default`` of a fresh container has."""
_SYNCED_WITHIN_S = 120.0
_LEAD = "<rpc><admin><config-sync><assert-leader>{what}</assert-leader></config-sync></admin></rpc>"
_LEADS = ("<router/>", "<vpn-name>*</vpn-name>")
_ALL_ALLOWED = {
    "allowGuaranteedMsgSendEnabled": True,
    "allowGuaranteedMsgReceiveEnabled": True,
    "allowGuaranteedEndpointCreateEnabled": True,
    "allowTransactedSessionsEnabled": True,
}


def settle(endpoint: Endpoint, vpns: Sequence[str], progress: Progress) -> None:
    """Make the message VPNs that are missing, each with an enabled user ``default`` without a password.

    On a redundancy group the first address is told to lead the configuration before (once is enough, on the first start
    of the group: SEMP v1, ``admin config-sync assert-leader``), for a group whose nodes disagree synchronises nothing.

    Raises:
        DeploymentError: the broker refuses.
    """
    semp = Semp(endpoint)
    try:
        if len(semp.addresses) > 1:
            _lead(endpoint, semp.active(now=True), progress)
        for vpn in vpns:
            if _missing(semp, path_of("msgVpns", vpn)):
                progress(f"making message VPN {vpn}")
                _make(semp, vpn)
    except BrokerError as error:
        raise DeploymentError(f"{endpoint.target}: {error.message}", hint=error.hint) from error


def _make(semp: Semp, vpn: str) -> None:
    body: Json = {
        "msgVpnName": vpn,
        "enabled": True,
        "authenticationBasicType": "none",
        "maxMsgSpoolUsage": SPOOL_MB,
    }
    _post(semp, "config/msgVpns", body)
    at = f"config/{path_of('msgVpns', vpn)}"
    semp.patch(f"{at}/clientProfiles/default", _ALL_ALLOWED)
    allow: Json = dict.fromkeys(
        ("clientConnectDefaultAction", "publishTopicDefaultAction", "subscribeTopicDefaultAction"), "allow"
    )
    semp.patch(f"{at}/aclProfiles/default", allow)
    semp.patch(f"{at}/clientUsernames/default", {"enabled": True})


def _missing(semp: Semp, path: str) -> bool:
    try:
        semp.get(f"config/{path}")
    except SempError as error:
        if error.code == NOT_FOUND:
            return True
        raise
    return False


def _post(semp: Semp, path: str, body: Json) -> None:
    try:
        semp.post(path, body)
    except SempError as error:
        if error.code != ALREADY_EXISTS:
            raise


def _lead(endpoint: Endpoint, address: str, progress: Progress) -> None:
    """Assert leadership where configuration is not synchronised, and wait until it is."""
    with httpx.Client(
        base_url=address.rstrip("/"),
        auth=(endpoint.admin_username or "admin", endpoint.admin_password),
        timeout=10.0,
        trust_env=False,
    ) as client:
        if _in_step(client, endpoint.target):
            return
        progress("asserting the leadership of the configuration")
        for what in _LEADS:
            _rpc(client, _LEAD.format(what=what), endpoint.target)
        deadline = time.monotonic() + _SYNCED_WITHIN_S
        while not _in_step(client, endpoint.target):
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f"{endpoint.target}: the nodes' configurations are not synchronised after {_SYNCED_WITHIN_S:.0f} s",
                    hint="look at 'show config-sync' and 'show redundancy' in the primary's CLI; a group key that "
                    "differs between the nodes, or a kept volume of an earlier group, keeps them apart",
                )
            time.sleep(1.0)


def _in_step(client: httpx.Client, target: str) -> bool:
    """Whether ``show config-sync`` calls the operational status of this node's configuration *Up*."""
    answer: Any = xmltodict.parse(_rpc(client, "<rpc><show><config-sync/></show></rpc>", target))
    for level in ("rpc-reply", "rpc", "show", "config-sync", "status", "oper-status"):
        if not isinstance(answer, dict) or level not in answer:
            return False
        answer = answer[level]
    return bool(answer == "Up")


def _rpc(client: httpx.Client, words: str, target: str) -> str:
    try:
        answer = client.post("/SEMP", content=words)
    except httpx.TransportError as error:
        raise DeploymentError(f"{target}: SEMP at {client.base_url} cannot be reached: {error}") from error
    if answer.status_code != httpx.codes.OK:
        raise DeploymentError(f"{target}: SEMP v1 at {client.base_url} answers {answer.status_code} to {words}")
    return answer.text
