"""``/metrics``: every worker's figures, added up, on an address of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


def add_up(texts: Iterable[str]) -> list[Metric]:
    """Add samples of the same name and labels; all are counts, so that sums mean something."""
    families: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            found = sums.setdefault(family.name, {})
            for sample in family.samples:
                place = (sample.name, tuple(sorted(sample.labels.items())))
                found[place] = found.get(place, 0.0) + sample.value
    for name, family in families.items():
        for (sample_name, labels), value in sums[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(families.values())


class AddedUp(Collector):
    """Pulls the workers' figures when asked."""

    def __init__(self, pull: Callable[[], list[str]]) -> None:
        self._pull = pull

    def collect(self) -> Iterator[Metric]:
        """Give the library the sums as they are now."""
        yield from add_up(self._pull())


@contextmanager
def serve_metrics(bind: str, pull: Callable[[], list[str]]) -> Iterator[int]:
    """Serve ``/metrics`` on HOST:PORT from a thread; an empty address serves nothing. Gives the port."""
    if not bind:
        yield 0
        return
    host, _, port = bind.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AddedUp(pull))
    server, thread = start_http_server(int(port), host.strip("[]") or "127.0.0.1", registry=registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
