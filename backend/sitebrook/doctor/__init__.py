"""Whether everything that sitebrook needs is there, and what to do about what is not."""
