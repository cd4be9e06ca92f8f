"""Replays files of events through the detector (`replay`) and writes its outputs to files (`sinks`)."""
