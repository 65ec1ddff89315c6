"""What a site knows, and finding passages for a question."""
