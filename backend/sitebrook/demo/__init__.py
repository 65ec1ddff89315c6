"""A first site with real documents: sitebrook's own documentation."""
