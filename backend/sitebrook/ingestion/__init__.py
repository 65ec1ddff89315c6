"""From files to documents with chunks and embeddings."""
