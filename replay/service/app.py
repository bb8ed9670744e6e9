"""The application: the REST interface of ``routes``, the page, metrics, and the guard in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, generate_latest
from starlette.types import ASGIApp

from crep import __version__
from crep.replay.service import models, page, problems, routes
from crep.replay.service.exports import JobCollector
from crep.replay.service.guard import Guard, Token
from crep.replay.service.routes import API, Service

_DESCRIPTION = """Jobs that capture messages of a broker into an archive, and jobs that replay them, to the same or
another broker. Errors are `application/problem+json` and say what to write instead. Everything but `/health` needs
`Authorization: Bearer TOKEN`."""
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def application(service: Service, token: Token) -> ASGIApp:
    """The application behind its guard."""
    app = FastAPI(
        title="crep replay service",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # its scripts come from the network
        redoc_url=None,
        lifespan=_attached(service),
    )
    problems.install(
        app,
        {
            "replay": models.ReplayOrder,
            "capture": models.CaptureOrder,
            f"{API}/jobs": models.ReplayOrder,
            f"{API}/dry-runs": models.ReplayOrder,
            f"{API}/jobs/{{job_id}}": models.PaceOrder,
        },
    )
    app.include_router(routes.of(service))
    _operations(app, service)
    page.install(app)
    return Guard(app, token)


def _attached(service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.changes.attach()
        yield

    return lifespan


def _operations(app: FastAPI, service: Service) -> None:
    registry = CollectorRegistry()
    registry.register(JobCollector(service.supervisor.store, service.supervisor.most))

    @app.get("/metrics", response_class=Response, tags=["operations"])
    def metrics() -> Response:
        """Prometheus text: jobs by state, messages by what became of them, rates."""
        return Response(generate_latest(registry), media_type=_METRICS)

    @app.get("/health", tags=["operations"])
    def health() -> models.Health:
        """Whether the service works; no token is needed."""
        return models.Health(state="stopping" if service.changes.closing else "running", version=__version__)
