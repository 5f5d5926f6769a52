"""What a database is: its epoch, the keys it was written with, its count of changes.

- A server whose keyring is not the database's does not start: it could neither find a code nor
  keep a code from being issued twice.
- `epoch` is part of every synchronisation token. It changes when the data has been restored, so
  that a synchronisation begun before is refused. In another PostgreSQL cluster, which the server
  notices itself, transaction numbers start anew as well; changes are then numbered again, so that
  none begun after misses a row.
"""
