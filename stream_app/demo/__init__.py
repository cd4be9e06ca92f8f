"""The demonstration: a simulated fleet watched live."""
