"""What the fork server of ``forked_process`` imports and compiles before the first worker: all that a worker does."""

import pipeline.app
import pipeline.cli.replay
import pipeline.cli.root
import pipeline.cli.worker
import pipeline.replay.run
import pipeline.streams.worker  # noqa: F401
from pipeline.flow.warm_up import warm_up

warm_up()
