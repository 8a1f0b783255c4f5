"""Networks over any feed-forward graph: reading edges, ordering neurons, computing, passing messages.

Lectures: A1.
"""

from chainrule.nn.graph_network.messages import ForwardPass, Messages, forward_pass
from chainrule.nn.graph_network.network import GraphNetwork

__all__ = ["ForwardPass", "GraphNetwork", "Messages", "forward_pass"]
