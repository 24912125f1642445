"""The served detector as an application of Ray Serve: replicas, their board, a front where one is needed."""

from ray import serve
from ray.serve import Application

from training.serving.access import Access
from training.serving.board import BoardActor
from training.serving.front import forget_after
from training.serving.ray_front import FrontActor
from training.serving.replica import DetectorActor
from training.serving.settings import Settings

DETECTORS, BOARD, FRONT = "Detectors", "Board", "Front"
HEALTH_S = 2.0  # seconds between two looks at whether a replica lives


def detectors_of(settings: Settings) -> tuple[Application, Application]:
    """The deployments of replicas and board, the second a part of the first."""
    section = settings.section
    boards = serve.deployment(name=BOARD, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    board = boards(BoardActor).bind(forget_after(section))
    replicas = serve.deployment(
        name=DETECTORS,
        num_replicas=section.replicas,
        user_config={},  # without one `reconfigure` is not called
        # All that may wait: while replicas are full, Serve looks for places after pauses, in which they idle.
        max_ongoing_requests=max(section.queue, 2 * section.batch_size),
        max_queued_requests=-1,  # the front counts what waits
        max_constructor_retry_count=3,
        graceful_shutdown_timeout_s=section.timeout_s,
        health_check_period_s=HEALTH_S,
        health_check_timeout_s=section.timeout_s,
        ray_actor_options={"num_cpus": section.cpus_per_replica, "num_gpus": section.gpus_per_replica},
    )
    return replicas(DetectorActor).bind(board, settings), board


def application_of(settings: Settings, access: Access) -> Application:
    """All of it with a front on Serve's own proxies."""
    section = settings.section
    detectors, board = detectors_of(settings)
    fronts = serve.deployment(
        name=FRONT,
        max_ongoing_requests=section.queue + 1000,  # the front itself tells who must come again
        graceful_shutdown_timeout_s=2 * section.timeout_s,
        ray_actor_options={"num_cpus": 0},
    )
    return fronts(serve.ingress()(FrontActor)).bind(detectors, board, settings, access)
