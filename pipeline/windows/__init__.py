"""Windows: event time: progress of sources, watermark, and the rows held back until it passes them."""
