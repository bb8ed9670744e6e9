"""crep: evidence for choosing an event broker.

Every package is imported as ``crep.<package>``. In the checkout the folders stand at the top and are linked from here;
in the wheel they are ordinary sub-packages, so that names such as ``reports`` never land in site-packages.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """``__version__``, looked up when it is asked for: that takes as long as an engine may take to start."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata  # noqa: PLC0415 - see above

    try:
        return metadata.version("crep")
    except metadata.PackageNotFoundError:  # a bare checkout on sys.path, not installed
        return "0+checkout"
