"""The process of a worker: start and stop, monitor, watchdog, probes."""
