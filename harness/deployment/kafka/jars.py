"""Fetch the jars of the lock once into the cache, and let nothing else near the class path."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx

from crep.harness.deployment.contract import DeploymentError, Progress
from crep.harness.deployment.folders import cache_folder
from crep.harness.deployment.kafka.lock import Jar, Lock
from crep.harness.deployment.kafka.repository import VARIABLE, Repository, find_repository

_PARALLEL = 8
_TRIES = 3
_CHUNK = 1 << 16


def jar_folder(lock: Lock) -> Path:
    """The cache folder of that lock: its name holds the lock's digest, so two versions never mix."""
    return cache_folder() / f"kafka-{lock.kafka_version}-{lock.digest[:12]}"


def fetch(lock: Lock, progress: Progress) -> Path:
    """Return a folder that holds exactly the lock's jars, each one checked now. A warm cache touches no network.

    Raises:
        DeploymentError: a jar cannot be fetched or kept, differs from the lock, or is none of the lock's.
    """
    folder = jar_folder(lock)
    try:
        return _fill(folder, lock, progress)
    except OSError as error:
        raise DeploymentError(
            f"Kafka's jars cannot be kept in {folder}: {error.strerror or error}",
            hint=f"they need {lock.size / 1e6:.0f} MB: make room, or name another cache folder with XDG_CACHE_HOME=DIR",
        ) from error


def _fill(folder: Path, lock: Lock, progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_strangers(folder, lock)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        present = list(pool.map(lambda jar: _check_present(folder / jar.file_name, jar), lock.jars))
    missing = [jar for jar, here in zip(lock.jars, present, strict=True) if not here]
    if missing:
        _download(missing, folder, find_repository(), progress)
    return folder


def _refuse_strangers(folder: Path, lock: Lock) -> None:
    known = {jar.file_name for jar in lock.jars}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".jar" and path.name not in known:  # Java loads *.jar and *.JAR
            raise DeploymentError(
                f"{path} is not in Kafka's jar lock and would be loaded with the broker",
                hint="crep did not put it there: remove it, or remove the folder and let crep fetch it again",
            )


def _check_present(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if found != jar.sha256:
        raise _mismatch(jar, found, f"the cached file {path}", f"remove {path} and run again")
    return True


def _mismatch(jar: Jar, found: str, where: str, what_to_do: str) -> DeploymentError:
    return DeploymentError(
        f"checksum mismatch: {jar.coordinates}, {where}, is not the jar of the lock and was refused\n"
        f"  expected sha256 {jar.sha256}\n  found    sha256 {found}",
        hint=what_to_do,
    )


def _download(jars: list[Jar], folder: Path, repository: Repository, progress: Progress) -> None:
    total = sum(jar.size for jar in jars)
    progress(f"fetching Kafka, {len(jars)} jars, {total / 1e6:.0f} MB, once")
    stop = threading.Event()
    done, told = 0, time.monotonic()
    with (
        httpx.Client(timeout=httpx.Timeout(30, connect=10), follow_redirects=True, auth=repository.login) as client,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        futures = {pool.submit(_fetch_one, client, repository, jar, folder, stop): jar for jar in jars}
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future].size
                if time.monotonic() - told > 1:
                    told = time.monotonic()
                    progress(f"fetched {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(client: httpx.Client, repository: Repository, jar: Jar, folder: Path, stop: threading.Event) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            found = _stream(client, f"{repository.url}/{jar.path}", folder / f".{jar.file_name}.{os.getpid()}", stop)
            break
        except httpx.HTTPError as error:
            refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
            if refused or attempt == _TRIES or stop.wait(attempt):
                raise _unreachable(repository, jar, error) from error
    part = folder / f".{jar.file_name}.{os.getpid()}"
    if found != jar.sha256:
        part.unlink()
        advice = (
            f"the Maven repository (from {repository.named_by}) serves another file under that name: ask who runs it"
        )
        raise _mismatch(jar, found, "as downloaded", f"{advice}, or name another one with {VARIABLE}=URL")
    part.replace(folder / jar.file_name)


def _stream(client: httpx.Client, url: str, part: Path, stop: threading.Event) -> str:
    """Write the body to ``part`` and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        with client.stream("GET", url) as response, part.open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes(_CHUNK):
                if stop.is_set():
                    raise httpx.RequestError("another jar failed, so this download was given up")
                digest.update(chunk)
                file.write(chunk)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def _unreachable(repository: Repository, jar: Jar, error: httpx.HTTPError) -> DeploymentError:
    host = httpx.URL(repository.url).host or repository.url
    if isinstance(error, httpx.HTTPStatusError):
        what = f"HTTP {error.response.status_code}"
    else:
        what = str(error) or type(error).__name__
    return DeploymentError(
        f"{jar.coordinates} cannot be fetched from {host} (named by {repository.named_by}): {what}",
        hint=f"check network, proxy (HTTPS_PROXY) and certificates (SSL_CERT_FILE); name a mirror with {VARIABLE}=URL; "
        "or set KAFKA_HOME=DIR to an unpacked Kafka distribution",
    )
