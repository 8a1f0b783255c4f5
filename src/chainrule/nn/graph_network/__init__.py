"""Networks over any feed-forward graph (SPEC A1): reading edges, ordering neurons, computing."""

from chainrule.nn.graph_network.network import GraphNetwork

__all__ = ["GraphNetwork"]
