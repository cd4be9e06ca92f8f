"""All that imports Faust: the transport, the app, assignments, queues, ticks."""
