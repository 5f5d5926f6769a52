"""Mail: the messages of the outbox that are e-mails, made and sent.

- A mail is made when it is sent: a code is opened then, and kept nowhere. PINs are in none.
- A card that is disabled, removed, expired or without a code by then gets no mail, and the message
  says so. A blocked one may be unblocked, and is waited for as for a server that is down.
- Sent at least once, always under the same Message-ID. In the folder that is exactly once.
- Refused for good are an address and a content; what may be the sender's fault comes again.
- Templates are Jinja's, HTML escaped; a folder of the retailer's own goes before ours.
"""
