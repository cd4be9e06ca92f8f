"""What is known of a fleet: sums and quantiles of its pipelines, graphlets and executions, kept up to date live."""
