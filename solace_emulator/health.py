"""The health check endpoints: 200 when a service is up, 503 before."""

from .http import HttpServer, Request, Response


class Health:
    """Answers on the health port. ``ready`` is set when guaranteed messaging is up."""

    def __init__(self) -> None:
        self.ready = False
        self.server = HttpServer(self._answer)

    async def _answer(self, request: Request) -> Response:
        if request.path not in ("/health-check/guaranteed-active", "/health-check/direct-active"):
            return Response(404, b"", "text/plain")
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", "text/plain")
        return Response(200 if self.ready else 503, b"", "text/plain")
