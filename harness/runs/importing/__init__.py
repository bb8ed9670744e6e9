"""Results of other tools, kept as what they are: *imported*, beside crep's own runs and never among them.

``document`` is what is kept of one, ``omb`` and ``sdkperf`` read the tools' own files, ``store`` writes and finds. An
imported result has no ledger, no stamps and another clock, so it is no run: it has another file name, and no verdict
can be drawn from it because nothing that judges ever reads it. May import ``runs.disk`` and ``config``.
"""

from crep.harness.runs.importing.document import Figure, Imported
from crep.harness.runs.importing.omb import read_omb
from crep.harness.runs.importing.sdkperf import read_sdkperf
from crep.harness.runs.importing.store import find_imported, keep

__all__ = ["Figure", "Imported", "find_imported", "keep", "read_omb", "read_sdkperf"]
