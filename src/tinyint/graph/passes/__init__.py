"""One exact rewriting of the main graph per file; prepare() runs them in order. Subgraphs are left as they are."""
