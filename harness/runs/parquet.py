"""Parquet through DuckDB: one connection in memory per operation, one thread, since measured clients run beside it.

In queries ``$files`` stands for a list of files: ``read_parquet($files)`` is all of them laid end to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from numpy.typing import NDArray

from crep.harness.config.errors import UsageError
from crep.harness.runs.disk import publish, temporary_of, writing

if TYPE_CHECKING:
    import pandas as pd


def write_query(path: Path, query: str, parameters: Mapping[str, object]) -> None:
    """Write what ``query`` returns (in its order), by temporary file and rename.

    Raises:
        EnvironmentFailure: the disk is full, or the folder is gone or not writable.
    """
    _write(path, query, parameters, {})


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of equal length as columns of the same types, rows in their order.

    Raises:
        EnvironmentFailure: the disk is full, or the folder is gone or not writable.
    """
    import pandas as pd  # noqa: PLC0415 - half a second, which a run's first message need not wait for

    _write(path, "SELECT * FROM columns", {}, {"columns": pd.DataFrame(dict(columns))})


def _write(path: Path, query: str, parameters: Mapping[str, object], views: Mapping[str, pd.DataFrame]) -> None:
    temporary = temporary_of(path)
    target = str(temporary).replace("'", "''")
    with writing(path), _connect() as connection:
        try:
            for name, frame in views.items():
                connection.register(name, frame)
            connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)", dict(parameters))
            publish(temporary, path)
        except (OSError, duckdb.IOException):
            temporary.unlink(missing_ok=True)
            raise


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays that ``write_columns`` wrote.

    Raises:
        UsageError: the file is damaged.
    """
    with _connect() as connection:
        try:
            found = connection.execute("SELECT * FROM read_parquet($files)", {"files": [str(path)]})
            columns: dict[str, NDArray[Any]] = found.fetchnumpy()
        except duckdb.Error as error:
            raise damaged([path]) from error
    return columns


def read_frame(paths: Sequence[Path], query: str, parameters: Mapping[str, object] | None = None) -> pd.DataFrame:
    """The result of a query over ``$files``.

    Raises:
        UsageError: a file is damaged; the text names it.
    """
    with _connect() as connection:
        try:
            bound = {"files": [str(path) for path in paths]} | dict(parameters or {})
            frame: pd.DataFrame = connection.execute(query, bound).df()
        except duckdb.Error as error:
            raise damaged(paths) from error
    return frame


def damaged(paths: Sequence[Path]) -> UsageError:
    """The error that names the first of ``paths`` that cannot be read to its end."""
    with _connect() as connection:
        for path in paths:
            try:
                query = "SELECT count(COLUMNS(*)) FROM read_parquet($files)"
                connection.execute(query, {"files": [str(path)]}).fetchall()
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                return UsageError(
                    f"{path}: damaged: {reason}", hint="Copy the run folder again, or leave it out of the report."
                )
    return UsageError(f"{', '.join(map(str, paths))}: not files of a run folder of this version")


def _connect() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})
