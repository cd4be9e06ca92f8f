"""Tests of the analysis of fleets."""
