"""Exact rewritings of the main graph, one per file, ordered by prepare().

Subgraphs are left as they are.
"""
