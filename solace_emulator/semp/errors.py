"""The errors that SEMP answers with. Codes and statuses are the vendor's; the texts are not."""

from typing import Final

#: Not found in any document; the status is what clients look at.
_INVALID_PATH_CODE: Final = 535


class SempError(Exception):
    """An error answer: HTTP 400, and code and status in the envelope."""

    def __init__(self, code: int, status: str, description: str) -> None:
        super().__init__(f"{status}: {description}")
        self.code = code
        self.status = status
        self.description = description


def failed(description: str) -> SempError:
    """It was not done, and nothing that was asked is to blame."""
    return SempError(2, "FAIL", description)


def not_found(description: str) -> SempError:
    """The object or its parent does not exist."""
    return SempError(6, "NOT_FOUND", description)


def already_exists(description: str) -> SempError:
    """The object to be created is there."""
    return SempError(10, "ALREADY_EXISTS", description)


def invalid_parameter(description: str) -> SempError:
    """An unknown attribute or query parameter, or a value out of bounds."""
    return SempError(11, "INVALID_PARAMETER", description)


def not_supported(description: str) -> SempError:
    """The vendor has it, the emulator does not."""
    return SempError(14, "NOT_SUPPORTED", description)


def parse_error(description: str) -> SempError:
    """The body is no JSON object."""
    return SempError(27, "PARSE_ERROR", description)


def not_allowed(description: str) -> SempError:
    """The state forbids it."""
    return SempError(89, "NOT_ALLOWED", description)


def missing_parameter(description: str) -> SempError:
    """A required attribute is missing."""
    return SempError(228, "MISSING_PARAMETER", description)


def invalid_path(description: str) -> SempError:
    """There is no such path, or not for this method."""
    return SempError(_INVALID_PATH_CODE, "INVALID_PATH", description)
