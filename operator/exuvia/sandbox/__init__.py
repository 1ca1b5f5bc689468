"""An in-memory world: API server, controllers, cloud, ledger and clock, for tests of whole operations.

It answers like the real API server where exuvia looks (a contract test runs one script against both), turns on a
virtual clock, and fails on request.
"""
