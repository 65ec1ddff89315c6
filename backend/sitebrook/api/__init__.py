"""HTTP: wire types, handlers, errors, pages."""
