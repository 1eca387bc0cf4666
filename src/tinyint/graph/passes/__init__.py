"""Exact rewritings of the main graph, one per file, in the order of `prepare`.

Subgraphs are unchanged, unless a rewriting says otherwise.
"""
