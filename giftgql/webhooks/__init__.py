"""Webhooks: what happens, told to other systems as it happens (Standard Webhooks).

- Nothing is written for them when money moves. The rows that are there anyway are followed by the
  numbers of their transactions, as a synchronisation follows them: no event is missed and none is
  told twice, whatever the order of commits. Where the follower is, is written with what it tells.
- Events of a card are numbered 1, 2, 3 …: what it was last told to be is remembered with the
  number. They carry masked codes and no more of a person than the member's id.
- An endpoint has one line. What it is told comes in order; while it is down the line rests, and
  what it refuses is put off by itself. No endpoint waits for another.
- The address that was checked is the one that is connected to; redirects are not followed.
"""
