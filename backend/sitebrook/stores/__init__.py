"""Files and vector stores as OpenAI's API has them: kept, filled, searched, expired."""
