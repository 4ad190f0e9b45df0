"""What the service counts of itself, for Prometheus. No names, texts or ids of people are ever a label."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass
class Telemetry:
    """One registry a service, so that several in one process (tests) do not meet."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Make the counters."""
        reg = self.registry
        self.seconds = Histogram("recutils_request_seconds", "Time to answer", ["route"], buckets=BUCKETS, registry=reg)
        self.answers = Counter("recutils_answers_total", "Answers by status", ["route", "status"], registry=reg)
        self.shed = Counter("recutils_shed_total", "Requests refused", ["reason"], registry=reg)
        self.how = Counter("recutils_lists_total", "Lists by how they were found", ["how"], registry=reg)
        self.events = Counter("recutils_events_total", "Feedback events kept", registry=reg)
        self.in_flight = Gauge("recutils_in_flight", "Requests being answered", registry=reg)
        self.ready = Gauge("recutils_ready", "1 while requests are taken", registry=reg)
        self.loaded = Gauge("recutils_bundle_info", "1 for the bundle that is served", ["version"], registry=reg)
        self.reloads = Counter("recutils_reloads_total", "Bundles loaded while serving", ["result"], registry=reg)
