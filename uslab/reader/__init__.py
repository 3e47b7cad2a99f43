"""What the browser of a reader in a blinded study gets: the page, and the server that hands it out."""
