"""What a user types: the command `uslab`, one file a command."""
