"""Errors of the REST interface: ``application/problem+json`` (RFC 9457), with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from crep.harness.config.complaints import complaint
from crep.harness.config.errors import CrepError, UsageError

MEDIA_TYPE = "application/problem+json"


class Mistake(BaseModel):
    """One mistake in a request: where (``selection.from``) and what."""

    where: str
    what: str


class ProblemDocument(BaseModel):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    errors: list[Mistake] = []


class Problem(Exception):
    """A request that cannot be met.

    Args:
        status: of HTTP.
        kind: the last word of the problem's type, for programs.
        title: the same for every problem of that type.
        detail: what is wrong this time.
        hint: what to do or write instead.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        hint: str | None = None,
        headers: dict[str, str] | None = None,
        errors: list[Mistake] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = headers
        self.document = ProblemDocument(
            type=f"urn:crep:problem:{kind}", title=title, status=status, detail=detail, hint=hint, errors=errors or []
        )

    def response(self) -> Response:
        """The answer."""
        body = self.document.model_dump(exclude_defaults=True)
        return JSONResponse(body, self.document.status, self.headers, MEDIA_TYPE)


def invalid(detail: str, *, hint: str | None = None, errors: list[Mistake] | None = None) -> Problem:
    """A request whose body or query says something impossible."""
    return Problem(422, "invalid-request", "The request cannot be understood", detail, hint=hint, errors=errors)


def not_found(detail: str, *, hint: str | None = None) -> Problem:
    """There is no such thing."""
    return Problem(404, "not-found", "There is no such thing", detail, hint=hint)


def conflict(detail: str, *, hint: str | None = None) -> Problem:
    """It cannot be done now."""
    return Problem(409, "conflict", "It cannot be done in this state", detail, hint=hint)


def of_error(error: CrepError) -> Problem:
    """An error of crep's tree: bad input is the asker's, the rest is the environment's."""
    if isinstance(error, UsageError):
        return invalid(error.message, hint=error.hint)
    return Problem(503, "environment", "A broker or the machine refuses", error.message, hint=error.hint)


def install(app: FastAPI, models: Mapping[str, type[BaseModel]]) -> None:
    """Answer every error with a problem.

    Args:
        app: to be changed.
        models: path, or (of a body that can be of several kinds) kind → the model of the body, whose keys the nearest
            valid word is looked for in.
    """

    def problem(_: Request, error: Exception) -> Response:
        return error.response() if isinstance(error, Problem) else _unexpected(error)

    def known(_: Request, error: Exception) -> Response:
        return of_error(error).response() if isinstance(error, CrepError) else _unexpected(error)

    def http(request: Request, error: Exception) -> Response:
        return _http(request, error) if isinstance(error, HTTPException) else _unexpected(error)

    def validation(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            return _unexpected(error)
        path = getattr(request.scope.get("route"), "path", "")
        return _mistakes(error, path, models).response()

    def unforeseen(request: Request, error: Exception) -> Response:
        # It is raised again behind the answer, and the server writes the traceback to the log of the service.
        detail = f"{request.method} {request.url.path}: {type(error).__name__}"
        return Problem(500, "defect", "The service has a defect", detail, hint="its log says more").response()

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(CrepError, known)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)


def _unexpected(error: Exception) -> Response:
    raise error


def _http(request: Request, error: HTTPException) -> Response:
    path = request.url.path
    if error.status_code == 404:
        return not_found(f"there is nothing at {path}", hint="the interface is described at /openapi.json").response()
    if error.status_code == 405:
        return Problem(
            405,
            "wrong-method",
            "The method does not go with this address",
            f"{path} does not take {request.method}",
            hint="the interface is described at /openapi.json",
            headers=dict(error.headers or {}),
        ).response()
    return Problem(error.status_code, "http", "The request was refused", str(error.detail)).response()


def _mistakes(error: RequestValidationError, path: str, models: Mapping[str, type[BaseModel]]) -> Problem:
    found = [_mistake(one, path, models) for one in error.errors()]
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return invalid(f"{first.where}: {first.what}{more}", errors=found)


def _mistake(details: Any, path: str, models: Mapping[str, type[BaseModel]]) -> Mistake:
    part, *inside = details["loc"]
    if details["type"] == "json_invalid":
        return Mistake(where="body", what=f"is no JSON: {details.get('ctx', {}).get('error', details['msg'])}")
    model = models.get(path)
    if inside and inside[0] in models:
        model = models[inside.pop(0)]
    where = ".".join(map(str, inside)) or str(part)
    if part != "body" or model is None:
        return Mistake(where=where, what=details["msg"])
    return Mistake(where=where, what=complaint(model, cast(ErrorDetails, {**details, "loc": tuple(inside)}))[0])
