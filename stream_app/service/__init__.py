"""The detector as a service without HTTP: its thread, its log, its verdicts."""
