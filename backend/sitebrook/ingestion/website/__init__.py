"""Websites as documents: addresses that may be asked, pages, crawls, what is kept of them."""
