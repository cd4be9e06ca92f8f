"""The functional core: deterministic, no input or output, no clock, no logging."""
