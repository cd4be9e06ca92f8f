"""The worker's shell beside a bare loop, stock Faust and Quix Streams."""
