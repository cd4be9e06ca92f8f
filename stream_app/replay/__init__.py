"""Files of events through the detector (`replay.replay`), and what came of it into files (`sinks`)."""
