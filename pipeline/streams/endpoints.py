"""The worker's own endpoints: /live (the loop turns), /ready (assigned and restored), /metrics (Prometheus).

They are plain aiohttp handlers on Faust's web server, whose ``/`` always answers OK and so says nothing.
"""

from collections.abc import Sequence

import faust
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.streams.shard import ShardService
from pipeline.telemetry import Telemetry


def register(app: faust.App, shards: Sequence[ShardService], telemetry: Telemetry) -> None:
    """Add the endpoints to the app."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(_: web.Request) -> web.Response:
        roles = {shard.stage.role: shard.ready.is_set() for shard in shards}
        return web.json_response(
            {"ready": all(roles.values()), "roles": roles}, status=200 if all(roles.values()) else 503
        )

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    router = app.web.web_app.router
    for path, handler in (("/live", live), ("/ready", ready), ("/metrics", metrics)):
        router.add_get(path, handler)
