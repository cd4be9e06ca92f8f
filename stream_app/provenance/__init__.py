"""Questions about executions and graphlets, answered from the state of pipelines without I/O."""
