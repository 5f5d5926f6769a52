"""What pages for people stand on: who is signed in, their forms, how a page is answered.

For a page that only shows: `if (session := await sessions.signed_in(request)) is None: return
sessions.to_sign_in(request)`. Then `session.name` and `session.roles` say who it is, and
`session.caller` is a Caller as of any client: `store.read(session.caller)`, `store.write(…)` and
`Context(session.caller, store)` work with it, and `session.caller.require(Permission.X)` refuses.

For a form that changes something: `session, form = await sessions.posted(request)`. It refuses what
no page of ours has sent; each form of ours has
`<input type="hidden" name="formToken" value="{{ session.form_token }}">` in it.
`pages.page("name.html", session=session, …)` fills in a template within `layout.html` and answers
with the policy. A route decorated with `pages.for_people` answers refusals as pages, and asks who
is not signed in to do so.

A page's own scripts call `/graphql` with the cookie and the header `X-GiftGQL-Request: 1`.
"""
