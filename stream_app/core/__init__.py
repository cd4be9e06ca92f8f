"""The functional core: deterministic, without I/O, clock or logging. `detector.Detector` is its entrance."""
