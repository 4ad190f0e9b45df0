"""A second opinion on the service's latency from a known tool: locust (extra `load`). Not the default, and why.

Locust's users wait for their answer before they ask again: a closed loop. When the service stalls, they stop asking, so
that the waits of those who would have come are not in the figures (71_deploy_serve, section 7). `constant_throughput`
keeps a pace as long as there are users to spare, and then this agrees with recutils/deploy/load.py; near saturation it
cannot. Use it to check our generator below the knee, and for its web page.

    make bundle && make serve                                        # one terminal
    locust -f benchmarks/locustfile.py --headless --host http://127.0.0.1:8000 \\
           --users 200 --spawn-rate 100 --run-time 30s               # another: 200 users, one request a second each
"""

import random

from locust import HttpUser, constant_throughput, task

PEOPLE = 943  # of ml-100k; their ids are 1..943
DRAW = random.Random(7)


class Visitor(HttpUser):
    """Asks for a known person's list, seldom for a text's."""

    wait_time = constant_throughput(1)

    @task(50)
    def known(self) -> None:
        """A list for somebody known."""
        person = DRAW.randint(1, PEOPLE)
        self.client.get(f"/v1/users/{person}/recommendations?k=10", name="/v1/users/{user_id}/recommendations")

    @task(1)
    def text(self) -> None:
        """A list for a text."""
        body = {"text": f"something like film number {DRAW.randint(1, 100_000)}", "k": 10}
        self.client.post("/v1/recommendations/text", json=body)
