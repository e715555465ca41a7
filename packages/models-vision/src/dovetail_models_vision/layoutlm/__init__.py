"""LayoutLM: BERT that sees where on the page a word stands."""
