"""Brakes: everything that says "not now" to a start, one family a file (operations.md, the table of brakes).

Each brake is a function of a candidate and the picture of the moment. It answers with `Blocked`, or None: go on.
"""
