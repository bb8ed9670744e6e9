"""Which Maven repository the jars come from. The address is the user's or a library's: the project names no host."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

from crep.harness.deployment.contract import DeploymentError

VARIABLE = "CREP_MAVEN_REPOSITORY"


@dataclass(frozen=True)
class Repository:
    """Base URL of a Maven repository, and who said so. The login is for HTTP basic authentication."""

    url: str
    named_by: str
    login: tuple[str, str] | None = field(default=None, repr=False)


def find_repository(settings_file: Path | None = None) -> Repository:
    """The first of: ``CREP_MAVEN_REPOSITORY``, a mirror of *central* in Maven's ``settings.xml``, Maven's default.

    Raises:
        DeploymentError: the settings file is not XML, or what is named is no URL.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return _checked(Repository(named.rstrip("/"), VARIABLE))
    path = settings_file if settings_file is not None else Path.home() / ".m2" / "settings.xml"
    mirror = _mirror(path) if path.is_file() else None
    if mirror is not None:
        return mirror
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - its package imports an HTTP stack; not at every start

    return Repository(str(MAVEN_CENTRAL_URL).rstrip("/"), "Maven's default")


def _mirror(path: Path) -> Repository | None:
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - the user's own file, expat expands no external entity
    except ElementTree.ParseError as error:
        raise DeploymentError(f"{path} is not XML: {error}", hint=f"correct it, or set {VARIABLE}") from error
    for element in root.iter():  # the namespace differs between versions of the schema
        element.tag = element.tag.rpartition("}")[2]
    for mirror in root.findall("mirrors/mirror"):
        url = _text(mirror, "url")
        if url and mirrors_central(_text(mirror, "mirrorOf")):
            return _checked(Repository(url.rstrip("/"), str(path), _login(root, _text(mirror, "id"))))
    return None


def _checked(repository: Repository) -> Repository:
    parts = urlsplit(repository.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DeploymentError(
            f"the Maven repository that {repository.named_by} names is not an http or https URL",
            hint=f"set {VARIABLE}=https://host/path of a repository in Maven's default layout",
        )
    return repository


def mirrors_central(pattern: str) -> bool:
    """Whether Maven's ``mirrorOf`` pattern covers the repository *central* (Maven guide "Using Mirrors")."""
    parts = [part.strip() for part in pattern.split(",")]
    return "!central" not in parts and any(part in {"*", "central", "external:*"} for part in parts)


def _login(root: ElementTree.Element, server_id: str) -> tuple[str, str] | None:
    for server in root.findall("servers/server"):
        if server_id and _text(server, "id") == server_id and _text(server, "username"):
            return _text(server, "username"), _text(server, "password")
    return None


def _text(element: ElementTree.Element, tag: str) -> str:
    text = (element.findtext(tag) or "").strip()
    return re.sub(r"\$\{env\.(\w+)\}", lambda match: os.environ.get(match[1], ""), text)
