"""Targets: named broker deployments (system + source + connection settings + profile).

Secrets never stand in a file: ``password_env`` names the environment variable that holds one. A resolved secret is a
``SecretStr``, so that neither ``repr`` nor ``model_dump_json`` shows it.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from crep.harness.config.errors import UsageError

System = Literal["kafka", "solace"]
Source = Literal["local", "embedded", "address", "docker"]
Profile = Literal["default", "quick"]
Setting = str | int | float | bool


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

    bootstrap: str
    tls: Tls | None = None
    login: Credentials | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"


class SolaceAddress(_Strict):
    """Where a running Solace broker is: an SMF host list (``tcp://`` or ``tcps://``) and the SEMP URL."""

    smf: str
    semp: str
    vpn: str = "default"
    tls: Tls | None = None
    login: Credentials = Credentials(username="default")
    admin: Credentials = Credentials(username="admin")


class Target(_Strict):
    """One named broker deployment as ``targets.yaml`` declares it."""

    name: str
    system: System
    source: Source
    profile: Profile = "default"
    mapping: str | None = Field(None, description="mapping file, e.g. kafka/topic-per-channel; default per system")
    settings: dict[str, Setting] = Field(default_factory=dict, description="broker settings added to the profile's")
    client: dict[str, Setting] = Field(default_factory=dict, description="client settings added to the mapping's")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="client port of a local broker; 0 takes a free one"
    )
    kafka: KafkaAddress | None = None
    solace: SolaceAddress | None = None

    @model_validator(mode="after")
    def _address_is_given_where_needed(self) -> Target:
        wanted = {"kafka": self.kafka, "solace": self.solace}[self.system]
        if self.source == "address" and wanted is None:
            raise ValueError(f"source 'address' needs a '{self.system}:' block with the broker's address")
        if self.source != "address" and (self.kafka or self.solace):
            raise ValueError(f"an address block goes with source 'address', not '{self.source}'")
        if self.source == "embedded" and self.system != "solace":
            raise ValueError("only system 'solace' has source 'embedded'")
        if self.source == "local" and self.system != "kafka":
            raise ValueError("only system 'kafka' has source 'local'")
        return self
