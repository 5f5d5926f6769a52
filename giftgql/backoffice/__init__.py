"""The back office: pages under `/office` for staff who don't write GraphQL.

A page is a view of services. Its handler gets a `Visit` (who, in which locale, the store), reads
its `Form` into the inputs that the API's mutations take, calls the same commands and services, and
fills in a template. `pages.shows(…)` and `pages.changes(…)` declare a handler with the permissions
of which it needs one, as root fields of the API are declared; `routes` lists them all, and
`navigation` the sections, of which each person sees what it may.

All works without JavaScript; htmx only swaps `#page` in place of loading it. No code of a card is
ever in an address: codes are posted. Each form that is rendered carries an idempotency key of its
own, so that a double click or a reload does its work once. Refusals are answered 422 with the form
as it was filled in, the sentence, and what to do.

Pages of long work show how far it is, its rate, and when it will be done; scripts ask for that part
alone, for as long as it goes on, and load the page once more when it has ended.
"""
