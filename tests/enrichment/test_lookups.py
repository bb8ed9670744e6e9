from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import httpx
import pytest

from crep.enrichment.config import HttpLookup
from crep.enrichment.lookups import LookupFailed
from crep.enrichment.lookups.breaker import Breaker
from crep.enrichment.lookups.cached import Cache
from crep.enrichment.lookups.database import Database
from crep.enrichment.lookups.table import Table
from crep.enrichment.lookups.web import Web


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def write(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(text)
    draft.replace(path)


def test_a_table_finds_numbers_by_text_and_text_by_numbers(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "id,name\n7,Ann\nx-1,Bob\n")
    table = Table(tmp_path / "t.csv", "id", 60.0)
    assert table.get(7) == {"id": "7", "name": "Ann"}
    assert table.get("x-1") == {"id": "x-1", "name": "Bob"}
    assert table.get("nobody") is None


def test_a_parquet_file_is_a_table_too(tmp_path: Path) -> None:
    duckdb.sql("SELECT 7 AS id, 'Ann' AS name").write_parquet(str(tmp_path / "t.parquet"))
    assert Table(tmp_path / "t.parquet", "id", 60.0).get("7") == {"id": 7, "name": "Ann"}


def test_a_table_that_changes_is_read_again_and_a_broken_one_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(path, "id,name\n7,Ann\n")
    table = Table(path, "id", 0.01)
    write(path, "id,name\n7,Eve\n")
    eventually(lambda: (table.get(7) or {})["name"] == "Eve")
    write(path, "other,name\n7,Bob\n")
    eventually(lambda: table.get(7) is not None and table.state()["reload_failures"] == 1)
    assert table.get(7) == {"id": 7, "name": "Eve"}
    assert "no column 'id'" in str(table.last_failure)
    path.unlink()
    assert table.get(7) == {"id": 7, "name": "Eve"}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("nobody.csv", None, "there is no table"),
        ("t.txt", "id\n1\n", ".csv or a .parquet"),
        ("t.csv", "key\n1\n", "has no column 'id'; it has: key"),
        ("t.csv", "id,v\n1,a\n1,b\n", "1 of 2 rows repeat"),
        ("t.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=reason):
        Table(tmp_path / name, "id", 1.0)


def test_a_database_is_asked_by_its_query_from_any_thread(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute("CREATE TABLE customers (id INTEGER, name TEXT)")
        connection.execute("INSERT INTO customers VALUES (7, 'Ann')")
    lookup = Database(tmp_path / "d.db", "SELECT name FROM customers WHERE id = ?", 60.0)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(lookup.get(7)))
    thread.start()
    thread.join()
    assert found == [{"name": "Ann"}]
    assert lookup.get(8) is None
    lookup.close()


def test_a_query_that_is_wrong_is_told_when_the_file_is_read(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "d.db").close()
    with pytest.raises(ValueError, match="no such table"):
        Database(tmp_path / "d.db", "SELECT * FROM nobody WHERE id = ?", 1.0)


def test_a_remembered_answer_is_asked_for_once_until_its_time_is_over() -> None:
    now, asked = [0.0], list[object]()

    def ask(value: object) -> None:
        asked.append(value)

    cache = Cache(10.0, ask, clock=lambda: now[0])
    for _ in range(3):
        assert cache.get("a") is None
    assert asked == ["a"]
    now[0] = 10.0
    cache.get("a")
    assert asked == ["a", "a"]


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_attempt_decide() -> None:
    now = [0.0]
    breaker = Breaker(2, 10.0, clock=lambda: now[0])
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert (breaker.state, breaker.allows(), breaker.opened) == ("open", False, 1)
    now[0] = 10.0
    assert breaker.state == "half-open"
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    assert breaker.state == "open"
    now[0] = 20.0
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state == "closed"


def web(answer: Callable[[httpx.Request], httpx.Response], **settings: object) -> Web:
    spec = HttpLookup.model_validate({"url": "http://there/customers/{value}", "retries": 1} | settings)
    return Web(spec, httpx.MockTransport(answer))


def test_a_service_is_asked_with_the_value_in_its_address_and_404_is_not_found() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(404) if b"nobody" in request.url.raw_path else httpx.Response(200, json={"name": "Ann"})

    lookup = web(answer)
    assert lookup.get("a/b") == {"name": "Ann"}
    assert lookup.get("a/b") == {"name": "Ann"}
    assert lookup.get("nobody") is None
    assert asked == [b"/customers/a%2Fb", b"/customers/nobody"]


def test_a_service_that_fails_once_is_asked_again() -> None:
    answers = [httpx.Response(503), httpx.Response(200, json={"name": "Ann"})]
    lookup = web(lambda _: answers.pop(0))
    assert lookup.get("7") == {"name": "Ann"}
    assert lookup.state()["failures"] == 1


def test_a_service_that_goes_on_failing_opens_the_breaker_and_is_left_alone() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("refused")

    lookup = web(answer, breaker_failures=4, breaker_pause="60 s")
    for value in range(5):
        with pytest.raises(LookupFailed):
            lookup.get(value)
    assert len(asked) == 4
    assert lookup.state()["breaker"] == "open"


@pytest.mark.parametrize("answer", [httpx.Response(403), httpx.Response(200, text="no"), httpx.Response(200, json=[1])])
def test_an_answer_that_is_none_is_a_failure_and_not_a_missing_value(answer: httpx.Response) -> None:
    with pytest.raises(LookupFailed):
        web(lambda _: answer).get("7")
