"""OpenID providers: whose tokens are believed, of staff who sign in and of members' apps.

- The issuer and the audience are the settings'; nothing in a token says where to look for a key.
  `jku`, `x5u` and `jwk` are not heard, `crit` is refused.
- Compact tokens alone, of at most 8 KiB, signed with RS256, PS256, ES256 or Ed25519 (EdDSA). There
  is no `none` and no HMAC, so a public key is never taken for a secret.
- Keys come from the provider's published set, within limits of time and size, without redirects.
  They are read anew after 10 minutes and for a key id that is unknown, then at most every 30 s.
  Where the provider cannot be reached, those of the last 24 hours go on.
- Whatever is wrong with a token, who sent it learns only that it is not accepted; the log says why.
"""
