"""Mergeable sums over the outputs of a detector, and the figures made of them."""
