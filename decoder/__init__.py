"""The receiver: receive, restore, output. Importing it loads no torch."""
