"""The command line: one file a command, which only parses and prints; ``nersemble.cli.app`` has the table of them."""
