"""The demonstration: the detector on a simulated fleet, shown live."""
