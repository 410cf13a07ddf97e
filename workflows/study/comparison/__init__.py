"""How good labels, embeddings and orientations are, as numbers."""
