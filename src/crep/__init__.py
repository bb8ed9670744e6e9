"""crep: evidence for choosing an event broker.

Every package is imported as ``crep.<package>``. In the checkout the folders stand at the top and are linked from here;
in the wheel they are ordinary sub-packages, so that names such as ``reports`` never land in site-packages.
"""

from importlib import metadata

try:
    __version__ = metadata.version("crep")
except metadata.PackageNotFoundError:  # a bare checkout on sys.path, not installed
    __version__ = "0+checkout"
