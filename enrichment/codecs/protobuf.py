"""Protobuf by a compiled descriptor set, so that no generated code is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from crep.enrichment.record import StepFailed


class Protobuf:
    """See ``codecs.Codec``. Field names are the schema's own; 64-bit numbers are text, as in Protobuf's JSON."""

    content_type = "application/protobuf"

    def __init__(self, descriptors: Path, message: str) -> None:
        pool = descriptor_pool.DescriptorPool()
        try:
            files = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
            for file in files.file:
                pool.Add(file)
            self._type = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
        except FileNotFoundError:
            raise ValueError(f"there is no descriptor set {descriptors}") from None
        except (DecodeError, TypeError) as error:
            raise ValueError(f"{descriptors.name} is no descriptor set: {error}") from None
        except KeyError:
            known = ", ".join(
                f"{file.package}.{kind.name}".lstrip(".") for file in files.file for kind in file.message_type
            )
            raise ValueError(f"{descriptors.name} has no message {message!r}; it has: {known}") from None

    def decode(self, payload: bytes) -> Any:
        """The fields that are set, with defaults for those that are not."""
        try:
            message = self._type.FromString(payload)
        except DecodeError as error:
            raise StepFailed(f"the payload is no {self._type.DESCRIPTOR.full_name}: {error}") from None
        return json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    def encode(self, body: Any) -> bytes:
        """The message; a field that the schema does not know is an error."""
        try:
            return bytes(json_format.ParseDict(body, self._type()).SerializeToString(deterministic=True))
        except (json_format.ParseError, AttributeError, TypeError) as error:
            raise StepFailed(f"the body is no {self._type.DESCRIPTOR.full_name}: {error}") from None
