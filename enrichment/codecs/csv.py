"""One row of CSV (RFC 4180) a message, without a heading: the columns are declared."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from crep.enrichment.record import StepFailed


class Csv:
    """See ``codecs.Codec``."""

    content_type = "text/csv"

    def __init__(self, columns: Sequence[str], delimiter: str) -> None:
        self._columns, self._delimiter = tuple(columns), delimiter

    def decode(self, payload: bytes) -> Any:
        """A field for each column, all text."""
        try:
            rows = list(csv.reader(io.StringIO(payload.decode(), newline=""), delimiter=self._delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise StepFailed(f"the payload is no CSV: {error}") from None
        if len(rows) != 1:
            raise StepFailed(f"the payload has {len(rows)} rows of CSV, where one is expected")
        if len(rows[0]) != len(self._columns):
            raise StepFailed(f"the row has {len(rows[0])} columns, where {len(self._columns)} are expected")
        return dict(zip(self._columns, rows[0], strict=True))

    def encode(self, body: Any) -> bytes:
        """The declared columns of the body, in order; None is an empty field."""
        if not isinstance(body, dict):
            raise StepFailed("the body is no mapping of columns")
        missing = [column for column in self._columns if column not in body]
        if missing:
            raise StepFailed(f"the body has no field {', '.join(map(repr, missing))}")
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._delimiter, lineterminator="").writerow(body[name] for name in self._columns)
        return out.getvalue().encode()
