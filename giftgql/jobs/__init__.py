"""Jobs: work that goes on by itself, in pieces, on the database that it is about.

- A job is a row. It is committed with the data that it belongs to, or not at all.
- One process works at it at a time, under a lease; each piece is a transaction that holds the
  job's row and its lease, so that no two processes can ever do the same piece.
- A process that dies loses its lease, and another one goes on with the next piece.
- A piece that fails is tried again, later each time; after so many times the job is dead, and
  whoever it belongs to is told. A database that is busy or gone is no failure of the job.
- Each piece says how much it has done: so anybody can tell how fast a job goes, and when it will
  have ended. Pauses and breaks are not counted.
- It runs in every server, or in `giftgql worker`.
"""
