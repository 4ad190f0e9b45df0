"""What the service counts of itself, for Prometheus. No names, texts or ids of people are ever a label.

Counters are moved on the way of a request; drift, coverage and the share of cold requests are computed from the window
of the last requests when somebody reads /metrics.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from recutils.deploy.drift import Reference
from recutils.deploy.engine import Answer
from recutils.deploy.window import Window

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
GAUGES = {
    "recutils_window_requests": "Requests in the window that the shares and drifts are computed from",
    "recutils_cold_share": "Share of lists for people of whom nothing was known",
    "recutils_unknown_item_share": "Share of the items named in requests that are not in the catalogue",
    "recutils_coverage_share": "Share of the catalogue shown in the window",
    "recutils_drift_psi": "PSI against the reference, without its chance part for independent requests",
    "recutils_drift_ks": "Kolmogorov-Smirnov distance from the reference",
}


@dataclass
class Telemetry:
    """One registry a service, so that several in one process (tests) do not meet."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    window: Window = field(default_factory=Window)
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """Make the counters."""
        reg = self.registry
        self.seconds = Histogram("recutils_request_seconds", "Time to answer", ["route"], buckets=BUCKETS, registry=reg)
        self.answers = Counter("recutils_answers_total", "Answers by status", ["route", "status"], registry=reg)
        self.shed = Counter("recutils_shed_total", "Requests refused", ["reason"], registry=reg)
        self.how = Counter("recutils_lists_total", "Lists by how they were found", ["how"], registry=reg)
        self.events = Counter("recutils_events_total", "Feedback events kept", registry=reg)
        self.skewed = Counter("recutils_events_skewed_total", "Kept events whose clock ran ahead of ours", registry=reg)
        self.cache = Counter(
            "recutils_cache_total", "Texts found among the newest vectors, or not", ["result"], registry=reg
        )
        self.in_flight = Gauge("recutils_in_flight", "Requests being answered", registry=reg)
        self.ready = Gauge("recutils_ready", "1 while requests are taken", registry=reg)
        self.loaded = Gauge("recutils_bundle_info", "1 for the bundle that is served", ["version"], registry=reg)
        self.reloads = Counter("recutils_reloads_total", "Bundles loaded while serving", ["result"], registry=reg)
        for counter, known in (
            (self.reloads, ("served", "refused")),
            (self.cache, ("hit", "miss")),
            (self.shed, ("load",)),
        ):
            for label in known:
                counter.labels(label)  # at 0 from the start: a series that appears with 1 has not risen for Prometheus
        self._places: np.ndarray | None = None
        self._version = ""
        self._n_items = 1
        reg.register(_Drift(self))

    def serves(self, item_ids: Sequence[str], reference: Reference | None, version: str = "") -> None:
        """Another bundle, with these items by row, is served. What the window holds stays."""
        self._version = version
        self.reference, self._n_items = reference, len(item_ids)
        self._places = None if reference is None else reference.placed(item_ids)

    def listed(self, answer: Answer) -> None:
        """A list was made."""
        self.how.labels(answer.how).inc()
        own = answer.version == self._version or not self._version  # a batch may outlive the bundle that it began with
        self.window.note(answer, self._places if own else None)

    def samples(self) -> list[tuple[str, str, float]]:
        """The window's gauges now: name, feature or "", value."""
        return self.window.samples(self.reference, self._n_items)


class _Drift(Collector):
    """Computes the window's gauges when the registry is read."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def describe(self) -> list[GaugeMetricFamily]:
        """Names without values, so that registering computes nothing."""
        return [GaugeMetricFamily(name, told) for name, told in GAUGES.items()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """A family for each gauge that has a value."""
        samples = self._telemetry.samples()
        for name, told in GAUGES.items():
            own = [(feature, value) for gauge, feature, value in samples if gauge == name]
            labels = ["feature"] if any(feature for feature, _ in own) else []
            family = GaugeMetricFamily(name, told, labels=labels)
            for feature, value in own:
                family.add_metric([feature] if labels else [], value)
            if own:
                yield family
