"""``python -m crep.solace_emulator``: run an emulator until SIGTERM or SIGINT.

Exit codes: 0 stopped in order, 2 bad options, 3 the environment does not allow to start or to go on.
"""

import asyncio
import logging
import signal
import sys

from .failure import StartFailure
from .options import Options, parse
from .server import Server, ready_line


async def _run(options: Options) -> int:
    server = Server(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopped.set)
    try:
        ready = await server.start()
        sys.stdout.write(ready_line(ready) + "\n")
        sys.stdout.flush()
        await server.stopped.wait()
    finally:
        await server.stop()
    return 3 if server.failed else 0


def main() -> int:
    """Run the command line."""
    options = parse()
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        return asyncio.run(_run(options))
    except StartFailure as failure:
        sys.stderr.write(f"solace_emulator: {failure}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main())
