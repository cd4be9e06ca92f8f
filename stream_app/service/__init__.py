"""The detector as a service without HTTP: its thread, its event log, and an index of verdicts."""
