"""What a worker counts. Plain integers on the request path; the Prometheus library renders them when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Figures(Collector):
    """Counters of one worker. Label values are from closed sets, so the number of series is bounded."""

    def __init__(self, in_flight: Callable[[], int] = lambda: 0, connections: Callable[[], int] = lambda: 0) -> None:
        self.requests: defaultdict[str, int] = defaultdict(int)  # by outcome
        self.attempts: defaultdict[str, int] = defaultdict(int)  # by outcome
        self.input_tokens = 0
        self.output_tokens = 0
        self.charged_nano_usd = 0
        self.in_flight = in_flight
        self.connections = connections
        self._first_byte = [0] * (len(_SECONDS) + 1)
        self._first_byte_sum = 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def first_byte(self, seconds: float) -> None:
        """Count the time from a request to the first byte of its answer."""
        self._first_byte[bisect_left(_SECONDS, seconds)] += 1
        self._first_byte_sum += seconds

    def text(self) -> str:
        """Render everything in the Prometheus text format."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """Give the library the figures as they are now."""
        requests = CounterMetricFamily("yizhan_requests", "Requests by outcome", labels=["outcome"])
        for outcome, count in sorted(self.requests.items()):
            requests.add_metric([outcome], count)
        yield requests
        attempts = CounterMetricFamily("yizhan_attempts", "Upstream attempts by outcome", labels=["outcome"])
        for outcome, count in sorted(self.attempts.items()):
            attempts.add_metric([outcome], count)
        yield attempts
        tokens = CounterMetricFamily("yizhan_tokens", "Tokens billed", labels=["direction"])
        tokens.add_metric(["input"], self.input_tokens)
        tokens.add_metric(["output"], self.output_tokens)
        yield tokens
        yield CounterMetricFamily("yizhan_charged_nano_usd", "Nano-USD charged", value=self.charged_nano_usd)
        yield GaugeMetricFamily("yizhan_in_flight", "Requests being answered", value=self.in_flight())
        yield GaugeMetricFamily("yizhan_connections", "Connections of callers", value=self.connections())
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip([*map(str, _SECONDS), "+Inf"], self._first_byte, strict=True):
            total += count
            buckets.append((bound, total))
        family = HistogramMetricFamily("yizhan_first_byte_seconds", "Request to first byte of the answer")
        family.add_metric([], buckets=buckets, sum_value=self._first_byte_sum)
        yield family
