"""From a bridge file to a checked bridge: every schema, expression, template and table is there and makes sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from crep.enrichment.codecs import codec_of
from crep.enrichment.config import BridgeFile, Destination, Route
from crep.enrichment.lookups import Lookup, open_lookup
from crep.enrichment.pipeline import Outgoing, Pipeline
from crep.enrichment.steps import Compiled, Surroundings, compile_step
from crep.enrichment.template import Legal, Template, kafka_name, topic_level
from crep.harness.config.targets import System
from crep.harness.config.yaml import Loc, Problem, load_yaml, refuse, validate

Made = TypeVar("Made")
_LEGAL: Mapping[System, Legal] = {"solace": topic_level, "kafka": kafka_name}


@dataclass
class Bridge:
    """A checked bridge file with everything that it names opened. A context manager: leaving it closes the lookups."""

    path: Path
    file: BridgeFile
    lookups: dict[str, Lookup]
    pipelines: dict[str, Pipeline]
    systems: dict[str, System]  # site → what its routes take it for
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def read_bridge_file(path: Path) -> BridgeFile:
    """What a bridge file says; whether what it names is there is not looked at.

    Raises:
        UsageError: with ``file:line:column`` of every mistake.
    """
    data, positions = load_yaml(path)
    return validate(BridgeFile, data, positions, path)


def load_bridge(path: Path, sites: Mapping[str, System] | None = None) -> Bridge:
    """Read and check a bridge file.

    Args:
        path: the file; what it names lies beside it.
        sites: systems that the sites are bound to, where that is known; a route that takes one for another is refused.

    Raises:
        UsageError: with ``file:line:column`` of every mistake.
    """
    data, positions = load_yaml(path)
    file = validate(BridgeFile, data, positions, path)
    check = _Check(file, path.parent)
    check.sites(dict(sites or {}))
    lookups = check.lookups()
    pipelines = check.pipelines(lookups)
    check.examples()
    if check.problems:
        check.stack.close()
    refuse(check.problems, positions, path)
    return Bridge(path, file, lookups, pipelines, check.systems, check.stack)


class _Check:
    """Tries to make everything, and collects what cannot be made."""

    def __init__(self, file: BridgeFile, folder: Path) -> None:
        self._file, self._folder = file, folder
        self.problems: list[Problem] = []
        self.systems: dict[str, System] = {}
        self.stack = ExitStack()

    def _made(self, loc: Loc, make: Callable[[], Made]) -> Made | None:
        try:
            return make()
        except ValueError as error:
            self.problems.append(Problem(loc, str(error)))
            return None

    def sites(self, bound: dict[str, System]) -> None:
        """Each site is declared and taken for one system."""
        self.systems = bound
        for name, route in self._file.routes.items():
            system: System = "solace" if route.from_.queue is not None else "kafka"
            self._site(("routes", name, "from", "site"), route.from_.site, system)
            self._site(("routes", name, "to", "site"), route.to.site, None)
            self._site(("routes", name, "dead_letters", "site"), route.dead_letters.site, None)
            if route.exactly_once:
                self._exactly_once(("routes", name), route, system)
            elif route.dead_letters.site not in (route.from_.site, route.to.site):
                text = "dead letters lie at the site of the route's source or of its destination"
                self.problems.append(Problem(("routes", name, "dead_letters", "site"), text))

    def _exactly_once(self, loc: Loc, route: Route, system: System) -> None:
        """One transaction spans what is read, what is written and the dead letters: one Kafka cluster."""
        if system != "kafka":
            text = "exactly once is Kafka's: Solace has no transaction over what was read and what was written"
            self.problems.append(Problem((*loc, "exactly_once"), text))
        for part, site in (("to", route.to.site), ("dead_letters", route.dead_letters.site)):
            if site != route.from_.site:
                text = f"exactly once is within one cluster: write the source's site here, {route.from_.site!r}"
                self.problems.append(Problem((*loc, part, "site"), text))

    def _site(self, loc: Loc, site: str, system: System | None) -> None:
        if site not in self._file.sites:
            known = ", ".join(self._file.sites)
            self.problems.append(Problem(loc, f"there is no site {site!r}; 'sites' declares: {known}"))
        elif system is not None and self.systems.setdefault(site, system) != system:
            found = self.systems[site]
            text = f"site {site!r} is {found} elsewhere; {'a queue' if system == 'solace' else 'a topic'} is {system}'s"
            self.problems.append(Problem(loc, text))

    def lookups(self) -> dict[str, Lookup]:
        """Every lookup, opened."""
        opened: dict[str, Lookup] = {}
        for name, spec in self._file.lookups.items():
            lookup = self._made(("lookups", name), lambda spec=spec: open_lookup(spec, self._folder))  # type: ignore[misc]
            if lookup is not None:
                self.stack.callback(lookup.close)
                opened[name] = lookup
        return opened

    def pipelines(self, lookups: Mapping[str, Lookup]) -> dict[str, Pipeline]:
        """Every route's pipeline."""
        made = {}
        for name, route in self._file.routes.items():
            loc: Loc = ("routes", name)
            legal = _LEGAL[self.systems.get(route.to.site, "solace")]
            around = Surroundings(self._folder, lookups, legal)
            decode = self._made((*loc, "decode"), lambda route=route: codec_of(route.decode, self._folder))  # type: ignore[misc]
            encode = self._made((*loc, "encode"), lambda route=route: codec_of(route.encode, self._folder))  # type: ignore[misc]
            steps = self._steps(loc, route, around)
            outgoing = self._outgoing((*loc, "to"), route.to, legal)
            if decode is not None and encode is not None and outgoing is not None:
                made[name] = Pipeline(self._file.bridge, decode, steps, encode, outgoing)
        return made

    def _steps(self, loc: Loc, route: Route, around: Surroundings) -> list[Compiled]:
        compiled: list[Compiled] = []
        for place, step in enumerate(route.steps):
            here: Loc = (*loc, "steps", place)
            name = f"{step.kind}-{place + 1}"
            if step.lookup is not None and step.lookup.in_ not in self._file.lookups:
                known = ", ".join(self._file.lookups) or "none"
                self.problems.append(
                    Problem((*here, "lookup", "in"), f"there is no lookup {step.lookup.in_!r}; there are: {known}")
                )
                continue
            if step.lookup is not None and step.lookup.in_ not in around.lookups:
                continue  # it could not be opened, which is said already
            made = self._made((*here, step.kind), lambda: compile_step(step, name, around))  # noqa: B023 - called at once
            if made is not None:
                if made.name in {one.name for one in compiled}:
                    self.problems.append(Problem((*here, "name"), f"another step is called {made.name!r} already"))
                compiled.append(made)
        return compiled

    def _outgoing(self, loc: Loc, to: Destination, legal: Legal) -> Outgoing | None:
        topic = self._made((*loc, "topic"), lambda: Template(to.topic, legal))
        key = None if to.key is None else self._made((*loc, "key"), lambda: Template(str(to.key)))
        properties = []
        for name, text in to.properties.items():
            template = self._made((*loc, "properties", name), lambda text=text: Template(text))  # type: ignore[misc]
            if template is not None:
                properties.append((name, template))
        if topic is None:
            return None
        ttl_ms = None if to.ttl is None else max(1, round(to.ttl * 1000))
        return Outgoing(topic, key, properties, frozenset(to.remove_properties), ttl_ms, to.priority)

    def examples(self) -> None:
        """Each example's route is there."""
        for place, example in enumerate(self._file.examples):
            if example.route not in self._file.routes:
                known = ", ".join(self._file.routes)
                text = f"there is no route {example.route!r}; there are: {known}"
                self.problems.append(Problem(("examples", place, "route"), text))
