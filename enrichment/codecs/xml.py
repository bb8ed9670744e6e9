"""XML by xmltodict: elements as fields, attributes as ``@name``, text beside them as ``#text``, repeats as lists."""

from __future__ import annotations

from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict

from crep.enrichment.record import StepFailed


class Xml:
    """See ``codecs.Codec``. Entities of the document's own are refused: they are how XML is made to explode."""

    content_type = "application/xml"

    def decode(self, payload: bytes) -> Any:
        """The document as a mapping with one field, its root."""
        try:
            return xmltodict.parse(payload, disable_entities=True)
        except (ExpatError, ValueError) as error:
            raise StepFailed(f"the payload is no XML: {error}") from None

    def encode(self, body: Any) -> bytes:
        """A document; the body must have one field, its root."""
        try:
            return str(xmltodict.unparse(body)).encode()
        except (ValueError, AttributeError, TypeError) as error:
            raise StepFailed(f"the body cannot be written as XML: {error}") from None
