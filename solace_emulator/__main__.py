"""``python -m crep.solace_emulator``: run an emulator until SIGTERM or SIGINT.

Exit codes: 0 stopped in order, 2 bad options, 3 the environment does not allow to start or to go on.
"""

import asyncio
import logging
import os
import signal
import sys
from typing import Final, NoReturn

from .datadir import DataDirectory
from .failure import StartFailure
from .journal.files import Files
from .options import Options, parse
from .server import Server, ready_line, standby_health

_STANDBY_POLL_SECONDS: Final = 0.1
_LOG: Final = logging.getLogger(__name__)


async def _run(options: Options, files: Files | None) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    directory = DataDirectory(options.data_dir)
    if not directory.lock():
        if options.role == "primary":
            place = f"data directory {options.data_dir}"
            raise StartFailure(f"{place}: in use by process {directory.holder}; stop it or give another")
        async with standby_health(options):
            if not await _lock_won(directory, stopped):
                return 0
    server = Server(options, directory, stopped, files)
    try:
        ready = await server.start()
        sys.stdout.write(ready_line(ready) + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await server.stop()
    return 3 if server.failed else 0


async def _lock_won(directory: DataDirectory, stopped: asyncio.Event) -> bool:
    """Stand by until the primary's lock is free; False when this process is to stop instead."""
    _LOG.info("standing by: process %s has %s", directory.holder, directory.path)
    while not directory.lock():
        try:
            await asyncio.wait_for(stopped.wait(), _STANDBY_POLL_SECONDS)
        except TimeoutError:
            continue
        return False
    _LOG.info("taking over %s", directory.path)
    return True


def main(files: Files | None = None) -> int:
    """Run the command line, on other files than the operating system's where a test says so."""
    options = parse()
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        return asyncio.run(_run(options, files))
    except StartFailure as failure:
        sys.stderr.write(f"solace_emulator: {failure}\n")
        return 3


def leave(code: int) -> NoReturn:
    """Exit. What a full disk keeps from being written does not change the code: Python would make it 120."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
