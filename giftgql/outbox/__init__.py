"""The outbox: what is to be said to somebody outside, written with what it is about.

- A message is a row that is committed with its cause, or not at all; its job delivers it after.
- It is delivered at least once. Whoever delivers marks it as sent in a transaction of its own, so
  a process that dies between the two delivers it once more, under the same name.
- What fails comes again, later each time, for about a day; then it is dead, visible, and can be
  tried again. One mail never waits for another; what an endpoint is told goes in its order.
- Facts are what the message says: names, texts, amounts. Never a code, a PIN or another secret:
  a code is opened when it is sent.
- How mails and webhooks are made and sent is other features'; this one does not know.
"""
