"""The command line: `python -m facula train | predict | info`."""
