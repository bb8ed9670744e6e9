"""The lock of Kafka's jars, and the fetch that lets nothing else in."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crep.harness.deployment import DeploymentError
from crep.harness.deployment.kafka.jars import fetch, jar_folder
from crep.harness.deployment.kafka.lock import LOCK_FILE, Jar, Lock, read_lock, render
from crep.harness.deployment.kafka.renew import roots
from crep.harness.deployment.kafka.repository import VARIABLE, find_repository, mirrors_central

CONTENT = {"broker": b"broker's classes" * 1000, "client": b"client's classes", "log": b""}


def jar(artifact: str, content: bytes) -> Jar:
    return Jar("org.example", artifact, "1.0", hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """Three small jars and one that carries the broker's name."""
    path = tmp_path / "small.lock"
    path.write_text(render([*(jar(name, body) for name, body in CONTENT.items()), jar("kafka_2.13", b"kafka")]))
    return read_lock(path)


class Repository:
    """A Maven repository on the loopback: serves ``files``, answers ``failures`` first, keeps what it was asked."""

    def __init__(self) -> None:
        self.files = {jar(name, body).path: body for name, body in {**CONTENT, "kafka_2.13": b"kafka"}.items()}
        self.failures: list[int] = []
        self.cut: set[str] = set()
        self.asked: list[str] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/maven/")
                repository.asked.append(path)
                body = repository.files.get(path)
                status = repository.failures.pop() if repository.failures else 404 if body is None else 200
                self.send_response(status)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if status == 200 and body is not None:
                    self.wfile.write(body[:-1] if path in repository.cut else body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/maven/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository()
    monkeypatch.setenv(VARIABLE, served.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield served
    served.close()


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def test_the_committed_lock_names_every_root_and_no_address() -> None:
    lock = read_lock()
    held = {one.coordinates for one in lock.jars}
    assert set(roots(lock.kafka_version)) <= held
    assert {one.version for one in lock.jars if one.group == "org.apache.kafka"} == {lock.kafka_version}
    assert "//" not in LOCK_FILE.read_text()


def test_the_digest_of_a_lock_depends_on_its_jars_and_not_on_comments(tmp_path: Path, lock: Lock) -> None:
    path = tmp_path / "commented.lock"
    path.write_text("# a comment\n\n" + render(reversed(lock.jars)))
    assert read_lock(path).digest == lock.digest
    path.write_text(render(lock.jars[1:]))
    assert read_lock(path).digest != lock.digest


@pytest.mark.parametrize(
    "line",
    ["org.example:broker sha256:" + "0" * 64 + " 1", "org.example:broker:1.0 sha256:123 1", "../x:y:1 nothing"],
)
def test_a_damaged_lock_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "damaged.lock"
    path.write_text(f"# comment\n{line}\n")
    with pytest.raises(DeploymentError, match=r"damaged.lock:2: .*\n.*renew"):
        read_lock(path)


def test_a_lock_without_a_broker_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.lock"
    path.write_text(render([jar("client", b"")]))
    with pytest.raises(DeploymentError, match=r"no kafka_2.13 among the jars"):
        read_lock(path)


def test_two_jars_of_one_file_name_are_refused(tmp_path: Path) -> None:
    one = jar("broker", b"1")
    other = Jar("org.other", one.artifact, one.version, one.sha256, one.size)
    path = tmp_path / "double.lock"
    path.write_text(render([one, other]))
    with pytest.raises(DeploymentError, match=r"second jar named broker-1.0.jar"):
        read_lock(path)


def test_every_jar_is_fetched_once_and_a_warm_cache_needs_no_network(lock: Lock, repository: Repository) -> None:
    told: list[str] = []
    folder = fetch(lock, told.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        **{f"{name}-1.0.jar": body for name, body in CONTENT.items()},
        "kafka_2.13-1.0.jar": b"kafka",
    }
    assert sorted(repository.asked) == sorted(one.path for one in lock.jars)
    assert "4 jars" in told[0]
    repository.close()
    assert fetch(lock, told.append) == folder
    assert len(told) == 1


def test_only_what_is_missing_is_fetched(lock: Lock, repository: Repository) -> None:
    folder = fetch(lock, silent)
    (folder / "client-1.0.jar").unlink()
    repository.asked.clear()
    fetch(lock, silent)
    assert repository.asked == ["org/example/client/1.0/client-1.0.jar"]


def test_a_download_that_differs_from_the_lock_is_refused_and_not_kept(lock: Lock, repository: Repository) -> None:
    repository.files["org/example/client/1.0/client-1.0.jar"] = b"something else"
    expected, found = (hashlib.sha256(body).hexdigest() for body in (CONTENT["client"], b"something else"))
    with pytest.raises(DeploymentError) as raised:
        fetch(lock, silent)
    for word in ("org.example:client:1.0", expected, found, "refused", VARIABLE):
        assert word in str(raised.value)
    assert raised.value.exit_code == 3
    assert not (jar_folder(lock) / "client-1.0.jar").exists()
    assert not list(jar_folder(lock).glob(".*"))


def test_a_cached_jar_that_was_changed_is_refused_before_use(lock: Lock, repository: Repository) -> None:
    changed = fetch(lock, silent) / "broker-1.0.jar"
    changed.write_bytes(b"changed")
    with pytest.raises(DeploymentError, match=rf"(?s)org.example:broker:1.0.*remove {re.escape(str(changed))}"):
        fetch(lock, silent)
    changed.unlink()
    fetch(lock, silent)


@pytest.mark.parametrize("name", ["stranger-1.0.jar", "stranger-1.0.JAR", ".stranger.jar"])
def test_a_jar_that_the_lock_does_not_name_is_refused(lock: Lock, repository: Repository, name: str) -> None:
    folder = fetch(lock, silent)
    (folder / name).write_bytes(b"")
    with pytest.raises(DeploymentError, match=rf"{re.escape(name)} is not in Kafka's jar lock"):
        fetch(lock, silent)


def test_a_repository_that_is_busy_for_a_moment_is_asked_again(lock: Lock, repository: Repository) -> None:
    repository.failures = [503]
    fetch(lock, silent)
    assert len(repository.asked) == len(lock.jars) + 1


def test_a_jar_that_the_repository_does_not_have_is_named_with_what_to_do(lock: Lock, repository: Repository) -> None:
    del repository.files["org/example/client/1.0/client-1.0.jar"]
    with pytest.raises(DeploymentError, match=rf"(?s)org.example:client:1.0.*HTTP 404.*{VARIABLE}.*KAFKA_HOME"):
        fetch(lock, silent)


def test_a_download_that_breaks_off_is_no_jar(lock: Lock, repository: Repository) -> None:
    repository.cut = {"org/example/client/1.0/client-1.0.jar"}
    with pytest.raises(DeploymentError, match=r"org.example:client:1.0 cannot be fetched"):
        fetch(lock, silent)
    assert not (jar_folder(lock) / "client-1.0.jar").exists()


def test_a_repository_out_of_reach_is_named(lock: Lock, repository: Repository) -> None:
    repository.close()
    with pytest.raises(DeploymentError, match=rf"(?s)127\.0\.0\.1 \(named by {VARIABLE}\).*HTTPS_PROXY"):
        fetch(lock, silent)


def test_a_cache_folder_that_cannot_be_written_is_named(lock: Lock, repository: Repository) -> None:
    folder = jar_folder(lock)
    folder.write_text("in the way")
    with pytest.raises(DeploymentError, match=rf"(?s)cannot be kept in {re.escape(str(folder))}.*XDG_CACHE_HOME"):
        fetch(lock, silent)


def test_a_password_in_the_repository_address_is_not_shown(
    lock: Lock, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.files.clear()
    monkeypatch.setenv(VARIABLE, repository.url.replace("//", "//me:hidden@"))
    with pytest.raises(DeploymentError) as raised:
        fetch(lock, silent)
    assert "hidden" not in str(raised.value)


SETTINGS = """\
<settings xmlns="urn:any:version">
  <servers><server><id>ours</id><username>me</username><password>${env.REPOSITORY_PASSWORD}</password></server></servers>
  <mirrors>
    <mirror><id>other</id><mirrorOf>snapshots</mirrorOf><url>http://127.0.0.1/other</url></mirror>
    <mirror><id>ours</id><mirrorOf>*,!private</mirrorOf><url>http://127.0.0.1/ours/</url></mirror>
  </mirrors>
</settings>
"""


def test_the_mirror_of_mavens_settings_is_used_with_its_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("REPOSITORY_PASSWORD", "secret")
    settings = tmp_path / "settings.xml"
    settings.write_text(SETTINGS)
    found = find_repository(settings)
    assert (found.url, found.login) == ("http://127.0.0.1/ours", ("me", "secret"))
    assert "secret" not in repr(found)


def test_the_environment_goes_before_mavens_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(SETTINGS)
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1/named/")
    assert find_repository(settings).url == "http://127.0.0.1/named"


def test_without_any_word_of_the_user_the_repository_is_mavens_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    found = find_repository(tmp_path / "missing.xml")
    assert found.url.startswith("https://")
    assert found.named_by == "Maven's default"


def test_settings_that_are_not_xml_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = tmp_path / "settings.xml"
    settings.write_text("<settings>")
    with pytest.raises(DeploymentError, match=r"settings.xml is not XML"):
        find_repository(settings)


@pytest.mark.parametrize("named", ["repository.example.com/maven", "ftp://127.0.0.1/x", "https://"])
def test_a_repository_that_is_no_web_address_is_refused(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, named)
    with pytest.raises(DeploymentError, match=rf"{VARIABLE} names is not an http or https URL"):
        find_repository()


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ("*", True),
        ("central", True),
        ("external:*", True),
        ("*,!private", True),
        ("private, central", True),
        ("*,!central", False),
        ("private", False),
        ("external:http:*", False),
        ("", False),
    ],
)
def test_a_mirror_covers_central_as_maven_says(pattern: str, covers: bool) -> None:
    assert mirrors_central(pattern) is covers
