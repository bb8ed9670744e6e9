"""Which faults are injected and not healed, on disk: one file for each running crep, gone when nothing is left in it.

``<state folder>/faults/<pid>-<start>.json``: who injected them, and for each its subject and how it is undone. The
watchdog heals what a killed crep left there, at once; ``crep doctor`` what even the watchdog could not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.folders import state_folder
from crep.harness.faults.undo import Undo, carry_out
from crep.harness.processes import ProcessIdentity


@dataclass(frozen=True)
class OpenFault:
    """A fault that is, or may be, in effect. ``since`` is UTC, ISO 8601."""

    action: str
    subject: str
    since: str
    undo: tuple[Undo, ...]

    def __str__(self) -> str:
        return f"{self.action} of {self.subject}, injected at {self.since}"


@dataclass(frozen=True)
class Journal:
    """One file of open faults, by their numbers in the timeline."""

    path: Path
    owner: ProcessIdentity
    faults: dict[int, OpenFault]

    @property
    def abandoned(self) -> bool:
        """Whether the crep that wrote it is gone."""
        return ProcessIdentity.of(self.owner.pid) != self.owner

    def write(self) -> None:
        """Make the file say what is in here; whole or not at all. An empty journal has no file.

        Raises:
            EnvironmentFailure: it cannot be written.
        """
        try:
            if not self.faults:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            faults = {str(number): asdict(fault) for number, fault in self.faults.items()}
            part.write_text(json.dumps({"owner": asdict(self.owner), "faults": faults}), encoding="utf-8")
            part.replace(self.path)
        except OSError as error:
            raise EnvironmentFailure(f"{self.path} cannot be written, so nobody could heal: {error}") from error

    def heal(self) -> Iterator[tuple[OpenFault, str]]:
        """Undo all of it; yields each fault with what was done. What could not be undone stays in the file."""
        for number, fault in list(self.faults.items()):
            try:
                yield fault, self.heal_one(number) or "was over already"
            except EnvironmentFailure as error:
                yield fault, f"not healed: {error.message}"

    def heal_one(self, number: int) -> str:
        """Undo one, and strike it off; what was done, empty where nothing was left to do.

        Raises:
            EnvironmentFailure: it cannot be undone, with the reason. It stays in the file.
        """
        done = [words for undo in self.faults[number].undo if (words := carry_out(undo))]
        del self.faults[number]
        self.write()
        return ", ".join(done)

    @property
    def healed(self) -> bool:
        """Whether nothing is left."""
        return not self.faults


def own_journal() -> Journal:
    """A new one for this process, without a file yet.

    Raises:
        EnvironmentFailure: the system does not tell processes apart (only Linux does, by /proc).
    """
    owner = ProcessIdentity.of(os.getpid())
    if owner is None:
        raise EnvironmentFailure("faults that outlive crep need /proc, which only Linux has, to be healed for certain")
    return Journal(_folder() / f"{owner.pid}-{owner.start_ticks}.json", owner, {})


def read_journal(path: Path) -> Journal | None:
    """What a file says; None where it is gone.

    Raises:
        EnvironmentFailure: it cannot be understood.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        faults = {
            int(number): OpenFault(
                one["action"],
                one["subject"],
                one["since"],
                tuple(Undo(undo["kind"], undo["what"]) for undo in one["undo"]),
            )
            for number, one in data["faults"].items()
        }
        return Journal(path, ProcessIdentity(**data["owner"]), faults)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentFailure(f"{path} cannot be understood: {error}") from error


def journal_files() -> Sequence[Path]:
    """All that there are, those of running creps too."""
    return sorted(_folder().glob("*.json"))


def _folder() -> Path:
    return state_folder() / "faults"
