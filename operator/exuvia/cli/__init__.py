"""The command line: exuvia, also kubectl exuvia."""
