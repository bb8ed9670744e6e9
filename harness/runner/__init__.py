"""One run, from a scenario and running brokers to a checked run folder.

::

    provision ─► ready ─► warm up ─► measure (timeline) ─► drain ─► close ─► check ─► remove
                               └ t0                └ publishers done   └ engines gone

Start reading at ``run``; ``prepare`` turns a plan into tasks, ``drain`` decides when nothing more can come, ``record``
keeps ``run.json``. May import everything of the harness below it; ``campaign`` drives it.
"""

from crep.harness.runner.run import RunRequest, run_once
from crep.harness.runner.stop import Stop

__all__ = ["RunRequest", "Stop", "run_once"]
