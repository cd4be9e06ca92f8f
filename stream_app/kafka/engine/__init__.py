"""All that imports Faust: the transport, the app, assignments, lanes, ticks."""
