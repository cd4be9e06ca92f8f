"""Lineage over pipelines whose state is in several processes, the peers: one asks, each answers for its pipelines."""

from stream_app.provenance.peers.answering import answer
from stream_app.provenance.peers.asking import lineage_over
from stream_app.provenance.peers.errors import MessageError, MovedError
from stream_app.provenance.peers.rounds import Peer

__all__ = ["MessageError", "MovedError", "Peer", "answer", "lineage_over"]
