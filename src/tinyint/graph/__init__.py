"""Questions to the graph and changes of it: reading, writing, walking, preparing."""
