"""The worker's process: its life, its monitor, its watchdog, its probes."""
