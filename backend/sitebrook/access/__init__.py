"""Who may do what: sites, keys, origins and visitor tokens."""
