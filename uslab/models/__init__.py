"""Networks and losses, one file a paper."""
