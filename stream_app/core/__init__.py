"""The functional core: deterministic, without input or output, clock or logging."""
