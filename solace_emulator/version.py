"""What the emulator says that it is."""

from typing import Final

VERSION: Final = "0.1.0"
PLATFORM: Final = "crep-emulator"
SEMP_VERSION: Final = "2.49"
