"""Evidence of a quarantined machine: taken, written, hashed, read back, renamed once.

Layout: `<root>/<quarantine name>-<its UID>/{manifest.json, objects/*.json, logs/<namespace>/<pod>/<container>.log}`.
Adding a collector is one file and one line in `COLLECTORS`.
"""

from exuvia.act.evidence.custodian import COLLECTORS, Custodian
from exuvia.act.evidence.reading import Verification, export, folders, verify

__all__ = ["COLLECTORS", "Custodian", "Verification", "export", "folders", "verify"]
