"""Targets: named broker deployments (system + source + connection settings + profile).

Secrets never stand in a file: ``password_env`` names the environment variable that holds one. A resolved secret is a
``SecretStr``, so that neither ``repr`` nor ``model_dump_json`` shows it.

``load_targets`` reads the built-in ``scenarios/targets.yaml`` and then the user's own file on top of it: a target there
replaces a built-in one of the same name.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import Problem, load_yaml, refuse, validate

System = Literal["kafka", "solace"]
Source = Literal["local", "embedded", "address", "docker"]
Profile = Literal["default", "quick"]
Topology = Literal["one-node", "three-nodes", "pair"]
Setting = str | int | float | bool

BUILT_IN = "scenarios/targets.yaml"
OWN_FILE = "crep-targets.yaml"
"""Looked for in the working directory when no file is named."""

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_HOST_PORT = rf"{_HOST}:\d{{1,5}}"


def _written_as(pattern: str, example: str) -> AfterValidator:
    """A validator of comma-separated addresses, each of which matches ``pattern``."""

    def check(text: str) -> str:
        parts = [part.strip() for part in text.split(",")]
        for part in parts:
            if not re.fullmatch(pattern, part):
                raise ValueError(f"address {part!r} is not understood; write for example {example}")
        return ",".join(parts)

    return AfterValidator(check)


Bootstrap = Annotated[str, _written_as(_HOST_PORT, "broker-1:9092,broker-2:9092")]
SmfHosts = Annotated[str, _written_as(rf"tcps?://{_HOST_PORT}", "tcp://host:55555 or tcps://host:55443")]
SempUrls = Annotated[str, _written_as(rf"https?://{_HOST}(:\d{{1,5}})?", "http://host:8080 or https://host:1943")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Strict):
    """TLS of the client connection. Paths are files in PEM form."""

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    verify_host: bool = True


class Credentials(_Strict):
    """A user name and the *name of the environment variable* that holds the password."""

    username: str
    password_env: str | None = None

    def password(self) -> SecretStr:
        """The secret from the environment (empty where no variable is named).

        Raises:
            UsageError: the named variable is not set.
        """
        if self.password_env is None:
            return SecretStr("")
        value = os.environ.get(self.password_env)
        if value is None:
            raise UsageError(
                f"the environment variable {self.password_env} is not set",
                hint=f"it holds the password of user {self.username!r}: export {self.password_env}=…",
            )
        return SecretStr(value)


class KafkaAddress(_Strict):
    """Where a running Kafka is: ``bootstrap`` is ``host:port[,host:port]``."""

    bootstrap: Bootstrap
    tls: Tls | None = None
    login: Credentials | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"


class SolaceAddress(_Strict):
    """Where a running Solace broker is: an SMF host list (``tcp://`` or ``tcps://``) and the SEMP URL.

    For a redundancy pair both lists name the two messaging nodes; crep asks the one that is active.
    """

    smf: SmfHosts
    semp: SempUrls
    vpn: str = "default"
    tls: Tls | None = None
    login: Credentials = Credentials(username="default")
    admin: Credentials = Credentials(username="admin")


class Docker(_Strict):
    """Containers of a compose file. The broker's addresses are those of the first ``nodes``, in their order."""

    compose: str | None = Field(None, description="the compose file; default: the one that comes with crep")
    profile: str = Field(description="its profile that holds this broker")
    nodes: list[str] = Field(min_length=1, description="its services that are nodes of this broker")
    health: list[Annotated[str, _written_as(rf"https?://{_HOST}(:\d{{1,5}})?", "http://localhost:5550")]] = Field(
        default_factory=list, description="Solace: where the nodes' health checks are, in the order of the addresses"
    )
    needs: list[str] = Field(default_factory=list, description="environment variables that the compose file needs")
    vpns: list[str] = Field(default_factory=list, description="Solace: message VPNs to make when they are missing")


def _library_alone(client: object) -> object:
    """``client: api`` is short for ``client: {client: api}``: the client library to use, and no other setting."""
    return {"client": client} if isinstance(client, str) else client


def _words(command: object) -> object:
    """A command in one line is split as a shell would; no shell ever runs it."""
    if not isinstance(command, str):
        return command
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{command!r} cannot be split into words: {error}") from None


Command = Annotated[list[str], BeforeValidator(_words), Field(min_length=1)]
"""A program and its arguments."""


class Hook(_Strict):
    """Commands of the user's own that fail this broker. Each ends within a minute; 0 means *done*, or *yes*.

    Passwords belong into the environment that crep is started in, which they inherit; the commands themselves are kept
    until the fault is healed.
    """

    start: Command = Field(description="starts the fault")
    confirm: Command = Field(description="says whether the fault is in effect: exit code 0 if it is")
    heal: Command | None = Field(None, description="ends the fault; default: it ends by itself")


class Target(_Strict):
    """One named broker deployment as ``targets.yaml`` declares it."""

    name: str = Field(description="the entry's key; not written inside the entry")
    system: System
    source: Source
    profile: Profile = "default"
    topology: Topology = Field(
        "one-node",
        description="nodes that crep starts; three-nodes: of Kafka, with three controllers; pair: of Solace",
    )
    mapping: str | None = Field(None, description="mapping file, e.g. kafka/topic-per-channel; default per system")
    settings: dict[str, Setting] = Field(default_factory=dict, description="broker settings added to the profile's")
    client: Annotated[dict[str, Setting], BeforeValidator(_library_alone)] = Field(
        default_factory=dict,
        description="client settings added to the mapping's, or the name of a client library",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0,
        description="client port of a local broker; 0 takes a free one; further nodes take the ports that follow",
    )
    allow_faults: bool = Field(
        False, description="true: crep may fail this broker, which somebody else runs, through its own administration"
    )
    exec: dict[str, Hook] = Field(
        default_factory=dict, description="faults by commands of your own, for `{do: exec, hook: NAME}` in a timeline"
    )
    kafka: KafkaAddress | None = None
    solace: SolaceAddress | None = None
    docker: Docker | None = None

    @model_validator(mode="after")
    def _address_is_given_where_needed(self) -> Target:
        wanted = {"kafka": self.kafka, "solace": self.solace}[self.system]
        if self.source in {"address", "docker"} and wanted is None:
            raise ValueError(f"source '{self.source}' needs a '{self.system}:' block with the broker's address")
        if self.source not in {"address", "docker"} and (self.kafka or self.solace):
            raise ValueError(f"an address block goes with source 'address' or 'docker', not '{self.source}'")
        if (self.source == "docker") != (self.docker is not None):
            raise ValueError("source 'docker' and a 'docker:' block go together")
        if self.source == "embedded" and self.system != "solace":
            raise ValueError("only system 'solace' has source 'embedded'")
        if self.source == "local" and self.system != "kafka":
            raise ValueError("only system 'kafka' has source 'local'")
        return self

    @model_validator(mode="after")
    def _topology_is_one_that_crep_starts(self) -> Target:
        wanted: dict[Topology, Source | None] = {"one-node": None, "three-nodes": "local", "pair": "embedded"}
        source = wanted[self.topology]
        if source is not None and self.source != source:
            raise ValueError(f"topology '{self.topology}' goes with source '{source}', not '{self.source}'")
        if self.allow_faults and self.source not in {"address", "docker"}:
            raise ValueError("'allow_faults' is for brokers that somebody else runs; crep may always fail its own")
        return self

    def with_profile(self, profile: Profile) -> Target:
        """The same deployment with another profile (``crep run --profile``)."""
        return self.model_copy(update={"profile": profile})


class _TargetsFile(_Strict):
    targets: dict[str, Target]


_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def load_targets(extra: Path | None = None) -> dict[str, Target]:
    """All targets by name: the built-in ones, then those of ``extra`` (else of ./crep-targets.yaml, if there).

    Raises:
        UsageError: a file is missing or malformed, with ``file:line:column`` of every mistake.
    """
    found = read_targets(resource(BUILT_IN))
    own = extra or Path(OWN_FILE)
    if extra is not None or own.exists():
        found.update(read_targets(own))
    return found


def read_targets(path: Path) -> dict[str, Target]:
    """The targets of one file.

    Raises:
        UsageError: it is missing or malformed.
    """
    data, positions = load_yaml(path)
    entries = data.get("targets")
    problems = []
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if not _NAME.fullmatch(name):
            text = "a target's name has small letters, digits and '-' only: it becomes part of folder names"
            problems.append(Problem(("targets", name), text, at_key=True))
        if isinstance(entry, dict):
            if "name" in entry:
                text = "a target is named by its key, so 'name' is not written again"
                problems.append(Problem(("targets", name, "name"), text, at_key=True))
            entry["name"] = name
    refuse(problems, positions, path)
    return validate(_TargetsFile, data, positions, path).targets


def find_target(name: str, targets: Mapping[str, Target]) -> Target:
    """The target of that name.

    Raises:
        UsageError: there is none; the text names the nearest.
    """
    if name not in targets:
        raise UsageError(
            f"there is no target {name!r}{nearest(name, targets)}",
            hint=f"'crep list targets' shows them; add your own in {OWN_FILE} or a file given with --targets",
        )
    return targets[name]
