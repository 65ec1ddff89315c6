"""How good the passages are: judged questions asked, measured, and tuned by."""
