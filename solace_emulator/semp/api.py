"""SEMP over HTTP: authentication, routing, the envelope. A change is answered when the disk has it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Container
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..core.broker import Broker
from ..core.queue import Queue
from ..http import Request, Response
from ..version import PLATFORM, SEMP_VERSION
from . import action, config, monitor, objects, paths, query
from .errors import SempError, invalid_path, not_found, parse_error

BASE: Final = "/SEMP/v2"
_DURABLE_SECONDS: Final = 10.0
_BUSY_SECONDS: Final = 60.0
_ROWS_AT_ONCE: Final = 200

Values = dict[str, Any]


@dataclass(frozen=True)
class _Call:
    """A request with what its answer needs to say about itself."""

    request: Request
    host: str
    interface: str
    steps: tuple[paths.Step, ...]

    @property
    def uri(self) -> str:
        """The request's absolute URI."""
        query_part = f"?{self.request.query}" if self.request.query else ""
        return f"{self.host}{self.request.path}{query_part}"

    def link(self, steps: tuple[paths.Step, ...]) -> str:
        """The absolute URI of an object of the same interface."""
        return paths.join(f"{self.host}{BASE}/{self.interface}", steps)

    def meta(self, code: int = 200, **more: object) -> Values:
        """The answer's ``meta``."""
        return more | {"request": {"method": self.request.method, "uri": self.uri}, "responseCode": code}

    def body(self) -> Values:
        """The request's JSON object. Raises SempError."""
        try:
            body = json.loads(self.request.body or b"{}", parse_constant=_no_number)
            json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except ValueError as error:
            raise parse_error(f"the body is no JSON: {error}") from None
        except RecursionError:
            raise parse_error("the body is nested too deeply") from None
        if not isinstance(body, dict):
            raise parse_error("the body must be a JSON object")
        return body


class SempApi:
    """The three interfaces over one broker. :meth:`answer` is an HTTP handler."""

    def __init__(self, broker: Broker, user: str, password: str) -> None:
        self._broker = broker
        self._credentials = f"{user}:{password}".encode()
        self._types = config.object_types(broker)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        if not self._authenticated(request):
            return Response(401, b"", "text/plain", (("WWW-Authenticate", 'Basic realm="SEMP"'),))
        host = f"http://{request.headers.get('host', 'localhost')}"
        call = _Call(request, host, "", ())
        try:
            call = self._routed(request, host)
            content = await self._carry_out(call)
        except SempError as error:
            described = {
                "code": error.code,
                "description": f"Problem with {request.method}: {error.description}",
                "status": error.status,
            }
            return _json(400, {"meta": call.meta(400, error=described)})
        return _json(200, content)

    def _authenticated(self, request: Request) -> bool:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded)
        except binascii.Error:
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, self._credentials)

    def _routed(self, request: Request, host: str) -> _Call:
        for interface in ("config", "monitor", "action"):
            base = f"{BASE}/{interface}"
            if request.path.startswith(f"{base}/"):
                return _Call(request, host, interface, paths.parse(request.path.removeprefix(base)))
        raise invalid_path(f"{request.path} is no path of this API; it begins with {BASE}/config, /monitor or /action")

    async def _carry_out(self, call: _Call) -> Values:
        if call.request.method == "GET" and call.steps == (paths.Step("about", ("api",)),):
            return {"data": {"platform": PLATFORM, "sempVersion": SEMP_VERSION}, "links": {}, "meta": call.meta()}
        if call.interface == "monitor":
            return await self._monitor(call)
        if call.interface == "action":
            return await self._action(call)
        return await self._config(call)

    # -- config

    async def _config(self, call: _Call) -> Values:
        located = objects.locate(self._types, call.steps)
        if located is None:
            raise invalid_path(f"{call.request.path} is no path that is emulated")
        method = call.request.method
        if method == "GET":
            return self._config_get(call, located)
        kind = located.type
        if method != "DELETE" and self._broker.disk_full:
            raise SempError(2, "FAIL", "the disk has no space for the change; nothing was changed")
        if method == "POST" and located.own is None:
            kind.store.list(located.parents)  # complains about a missing parent
            ids = kind.create(located.parents, located.without_parents(call.body()))
            return await self._changed(call, located, ids)
        if located.own is None or (kind.schema is None and method in ("PUT", "PATCH")):
            raise invalid_path(f"{method} is not possible at {call.request.path}")
        exists = kind.store.read(located.ids) is not None
        if method == "PUT" and not exists:
            names = dict(zip(kind.identifiers, located.own, strict=True))
            body = located.without_parents(call.body()) | names
            return await self._changed(call, located, kind.create(located.parents, body))
        if not exists:
            raise not_found(f"{kind.label} {','.join(located.own)} does not exist")
        if method in ("PUT", "PATCH"):
            kind.change(located.ids, located.without_parents(call.body()), put=method == "PUT")
            return await self._changed(call, located, located.ids)
        if method == "DELETE":
            kind.store.delete(located.ids)
            await self._durable()
            return {"meta": call.meta()}
        raise invalid_path(f"{method} is not possible at {call.request.path}")

    async def _changed(self, call: _Call, located: objects.Located, ids: objects.Ids) -> Values:
        await self._durable()
        data = located.type.describe(located.parent_values, ids)
        return {"data": data, "links": self._config_links(call, located, ids), "meta": call.meta()}

    def _config_get(self, call: _Call, located: objects.Located) -> Values:
        kind = located.type
        asked = query.parse(call.request.query)
        names = kind.names | set(located.parent_values)
        asked.check_where(names)
        chosen = asked.chosen(names)
        if located.own is not None:
            if kind.store.read(located.ids) is None:
                raise not_found(f"{kind.label} {','.join(located.own)} does not exist")
            return {
                "data": _only(chosen, kind.describe(located.parent_values, located.ids)),
                "links": self._config_links(call, located, located.ids),
                "meta": call.meta(),
            }

        def described(ids: objects.Ids) -> Values:
            return kind.describe(located.parent_values, ids)

        listed = [ids for ids in kind.store.list(located.parents) if asked.accepts(partial(described, ids))]
        page = query.page(asked, listed, len(listed))
        return {
            "data": [_only(chosen, described(ids)) for ids in page.rows],
            "links": [self._config_links(call, located, ids) for ids in page.rows],
            "meta": self._paged(call, asked, page.total, page.cursor),
        }

    def _config_links(self, call: _Call, located: objects.Located, ids: objects.Ids) -> Values:
        own = paths.Step(located.type.collection, ids[len(located.parents) :])
        steps = (*call.steps[:-1], own)
        links = {"uri": call.link(steps)}
        for child in located.type.children:
            links[f"{child.collection}Uri"] = call.link((*steps, paths.Step(child.collection, None)))
        return links

    def _paged(self, call: _Call, asked: query.Query, total: int, cursor: str | None) -> Values:
        if cursor is None:
            return call.meta(count=total)
        following = query.next_query(asked, call.request.query, cursor)
        uri = f"{call.host}{call.request.path}?{following}"
        return call.meta(count=total, paging={"cursorQuery": cursor, "nextPageUri": uri})

    # -- monitor

    async def _monitor(self, call: _Call) -> Values:
        if call.request.method != "GET":
            raise invalid_path(f"{call.request.method} is not possible in the monitor interface")
        found = monitor.locate(self._broker, call.steps)
        if found is None:
            raise invalid_path(f"{call.request.path} is no path that is emulated")
        asked = query.parse(call.request.query)
        asked.check_where(found.names)
        chosen = asked.chosen(found.names)

        def sized(row: monitor.Row) -> Values:
            return {name: {"count": count} for name, count in row.collections.items()}

        def links(row: monitor.Row) -> Values:
            steps = (*call.steps[:-1], paths.Step(call.steps[-1].collection, row.identifiers))
            below = {f"{name}Uri": call.link((*steps, paths.Step(name, None))) for name in row.collections}
            return {"uri": call.link(steps)} | below

        if found.wanted is not None:
            row = found.found()
            data = _only(chosen, row.attributes())
            return {"data": data, "collections": sized(row), "links": links(row), "meta": call.meta()}
        if asked.where:
            accepted = await _accepted(asked, found.members)
            page = query.page(asked, accepted, len(accepted))
        else:
            page = query.page(asked, found.members.rows(), found.members.size)
        return {
            "data": [_only(chosen, row.attributes()) for row in page.rows],
            "collections": [sized(row) for row in page.rows],
            "links": [links(row) for row in page.rows],
            "meta": self._paged(call, asked, page.total, page.cursor),
        }

    # -- action

    async def _action(self, call: _Call) -> Values:
        if call.request.method != "PUT":
            raise invalid_path(f"{call.request.method} is not possible in the action interface")
        run = action.locate(self._broker, call.steps)
        if run is None:
            raise invalid_path(f"{call.request.path} is no action that is emulated")
        if not call.request.body:
            raise parse_error("an action needs a body, {} if it takes no arguments")
        queue = run(call.body())
        if queue is not None:
            await self._idle(queue)
        await self._durable()
        return {"data": {}, "meta": call.meta()}

    async def _idle(self, queue: Queue) -> None:
        """Wait until a queue is through with what it was told to do, and others have been served meanwhile."""
        for _ in range(int(_BUSY_SECONDS / 0.005)):
            if not queue.tasks.busy:
                return
            await asyncio.sleep(0.005)
        raise SempError(2, "FAIL", f"queue {queue.name} is still busy with it; look at its depth and replayState")

    async def _durable(self) -> None:
        """Wait until the change is as durable as an acknowledged message."""
        self._broker.log.commit()
        target = self._broker.log.position
        for _ in range(int(_DURABLE_SECONDS / 0.001)):
            if self._broker.log.durable >= target:
                return
            await asyncio.sleep(0.001)
        raise SempError(2, "FAIL", "the change was made but the disk has not confirmed it")


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _only(chosen: Container[str], attributes: Values) -> Values:
    return {name: value for name, value in attributes.items() if name in chosen}


async def _accepted(asked: query.Query, members: monitor.Members) -> list[monitor.Row]:
    """Return the rows that ``where`` leaves, letting the clients' traffic in between: there may be a million."""
    accepted: list[monitor.Row] = []
    for number, row in enumerate(members.rows(), start=1):
        if asked.accepts(row.attributes):
            accepted.append(row)
        if number % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return accepted


def _json(status: int, content: Values) -> Response:
    return Response(status, json.dumps(content).encode())
