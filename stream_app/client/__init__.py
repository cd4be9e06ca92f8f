"""What a pipeline imports: `should_prune` and OpenLineage facets. Only the standard library is needed."""
