"""Malformed and hostile requests, each with the status and the code that it gets."""

import json
from typing import Any

SECONDS = 0.2
"""More computing than this no request may cause."""

NAME = "q"
INVALID, COMPLEX = "GRAPHQL_VALIDATION_FAILED", "OPERATION_TOO_COMPLEX"
BAD, UNPARSED = "BAD_REQUEST", "GRAPHQL_PARSE_FAILED"


def q(document: str, **more: Any) -> bytes:
    return json.dumps({"query": document, **more}).encode()


def bomb(times: int, last: str) -> str:
    chain = (f"fragment F{n} on Query {{ {f'...F{n + 1} ' * 3} }}" for n in range(times))
    return f"{{ ...F0 }} {' '.join(chain)} fragment F{times} on Query {{ {last} }}"


def nested(what: str, times: int, inner: str) -> str:
    return f"{what} {{ " * times + inner + " }" * times


def chained(what: str, condition: str) -> str:
    """Four fragments one in the other, each nested less deeply than the parser allows."""
    texts = [f"fragment F{n} on Query {nested(what, 150, f'...F{n + 1}')[:-1]}}}" for n in range(3)]
    texts = [text.replace(f"on Query {what} {{", f"on Query {{ {what} {{", 1) for text in texts]
    return f"{{ ...F0 }} {' '.join(f'{text} }}' for text in texts)} {condition}"


def look_ups(times: int) -> str:
    return "{" + " ".join(f'a{n}: giftcard(code: "GC0{n}") {{ until }}' for n in range(times)) + "}"


def aliases(times: int, field: str) -> str:
    return " ".join(f"a{n}: {field}" for n in range(times))


T = "__typename"
JSON_BODIES: dict[str, tuple[bytes, int, str | None]] = {
    "nothing": (b"", 400, BAD),
    "null": (b"null", 400, BAD),
    "a string": (b'"x"', 400, BAD),
    "a number": (b"5", 400, BAD),
    "an empty batch": (b"[]", 400, BAD),
    "a batch of nulls": (b"[null]", 400, BAD),
    "a batch": (b"[" + q("{ a }") + b"," + q("{ b }") + b"]", 400, BAD),
    "half an object": (b'{"query":', 400, BAD),
    "two objects": (q("{ a }") * 2, 400, BAD),
    "bad UTF-8": (b'{"query":"\xff\xfe"}', 400, BAD),
    "UTF-16": ('{"query":"{ a }"}'.encode("utf-16"), 400, BAD),
    "a byte order mark": (b"\xef\xbb\xbf" + q("{ a }"), 400, BAD),
    "a huge integer": (q("{ a }")[:-1] + b', "variables": {"a": ' + b"9" * 6_000 + b"}}", 400, BAD),
    "NaN": (b'{"query": "{ a }", "variables": {"a": NaN}}', 400, BAD),
    "infinity": (b'{"query": "{ a }", "variables": {"a": -Infinity}}', 400, BAD),
    "a comment": (b'{"query": "{ a }" /* b */}', 400, BAD),
    "deep variables": (b'{"variables":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, BAD),
    "half a character": (b'{"query": "{ giftcard(id: \\"\\ud800\\") { until } }"}', 400, BAD),
    "half a character as name": (b'{"query": "{ a }", "operationName": "\\ud800"}', 400, BAD),
    "no query": (b"{}", 400, BAD),
    "an empty query": (q(""), 400, BAD),
    "a query of another type": (b'{"query": {"a": 1}}', 400, BAD),
    "a numeric name": (q("{ a }", operationName=5), 400, BAD),
    "a list as name": (q("{ a }", operationName=["a"]), 400, BAD),
    "a list of variables": (q("{ a }", variables=[1]), 400, BAD),
    "variables in a string": (q("{ a }", variables="{}"), 400, BAD),
    "half a character in a variable": (
        q("{ a }")[:-1] + b', "variables": {"a": "\\ud800"}}',
        400,
        BAD,
    ),
    "a list of extensions": (q("{ a }", extensions=[1]), 400, BAD),
    "a persisted list": (q("{ a }", extensions={"persistedQuery": [1]}), 400, BAD),
    "a hash and nothing": (q("", extensions={"persistedQuery": {"version": 1}}), 400, BAD),
    "100,000 levels of variables": (
        b'{"variables":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        413,
        BAD,
    ),
    "200,000 comments": (q("#a\n" * 200_000 + "{ a }"), 413, BAD),
    "5 MB": (q("{ a }", extensions={"x": "a" * 5_000_000}), 413, BAD),
}
DOCUMENTS: dict[str, tuple[str, str | None]] = {
    "only a null byte": ("\x00", UNPARSED),
    "no document": ("giftcard", UNPARSED),
    "an open string": ('{ giftcard(id: "a) { until } }', UNPARSED),
    "half a character, escaped": ('{ giftcard(id: "\\ud800") { until } }', UNPARSED),
    "600 levels": ("{ " + nested("a", 600, "b") + " }", COMPLEX),
    "20 levels": ("{ " + nested("a", 20, "b") + " }", COMPLEX),
    "10,000 levels": ("{" + "a{" * 10_000 + "b" + "}" * 10_000 + "}", COMPLEX),
    "a deep list": (f"{{ giftcard(id: {'[' * 3_000}{']' * 3_000}) {{ until }} }}", COMPLEX),
    "150 inline fragments": (f"{{ {nested('...', 150, T)} }}", COMPLEX),
    "450 inline fragments, by fragments": (
        chained("...", f"fragment F3 on Query {{{T}}}"),
        COMPLEX,
    ),
    "450 levels, by fragments": (chained("a", f"fragment F3 on Query {{{T}}}"), COMPLEX),
    "a cycle": (
        f"{{ ...A }} fragment A on Query {{ {T} ...B }} fragment B on Query {{ {T} ...A }}",
        INVALID,
    ),
    "a fragment in itself": (f"{{ ...A }} fragment A on Query {{ {T} ...A }}", INVALID),
    "a bomb": (bomb(18, T), COMPLEX),
    "a bomb of nothing": (bomb(18, "...A"), INVALID),
    "a fragment that is not there": (f"{{ {T} ...A }}", INVALID),
    "a fragment too many": (f"{{ {T} }} fragment A on Query {{ {T} }}", INVALID),
    "an alias of 101 characters": (f"{{ {'a' * 101}: {T} }}", COMPLEX),
    "a field of 60,000 characters": (f"{{ {'a' * 60_000} }}", COMPLEX),
    "1,000 aliases": (f"{{ {aliases(1_000, T)} }}", COMPLEX),
    "31 aliases": (f"{{ giftcard {{ results {{ {aliases(31, 'id')} }} }} }}", COMPLEX),
    "1,000 times one field": ("{" + f"{T} " * 1_000 + "}", COMPLEX),
    "11 root fields": ("{" + f"{T} " * 11 + "}", COMPLEX),
    "501 fields": ("{ giftcard { results { " + "id " * 501 + "} } }", COMPLEX),
    "6 look-ups by code": (look_ups(6), COMPLEX),
    "6 look-ups in 2 operations": (f"query q {look_ups(3)} query other {look_ups(3)}", COMPLEX),
    "look-ups hidden in a fragment": (
        '{ a: giftcard(code: "GC01") { until } ...A ...A ...A ...A ...A } '
        'fragment A on Query { b: giftcard(code: "GC02") { until } }',
        COMPLEX,
    ),
    "1,000 directives": ("{ " + T + " @aa" * 1_000 + " }", COMPLEX),
    "31 directives": ("{ " + T + " @skip(if: false)" * 31 + " }", COMPLEX),
    "directives by fragments": (
        f"{{ {'...A ' * 16} }} fragment A on Query {{ {T} @skip(if: false) @include(if: true) }}",
        COMPLEX,
    ),
    "an unknown directive": (f"{{ {T} @aa }}", INVALID),
    "a repeated directive": (f"{{ {T} @skip(if: false) @skip(if: false) }}", INVALID),
    "20,000 comments": ("#\n" * 20_000 + f"{{ {T} }}", COMPLEX),
    "51 definitions": (f"{{ {T} }} " + f"query A {{ {T} }} " * 50, COMPLEX),
    "an integer of 5,000 digits": (f"{{ giftcard(first: {'9' * 5_000}) {{ until }} }}", INVALID),
    "480 variables": (f"query ({'$a: Int ' * 480}) {{ {T} }}", INVALID),
    "a subscription": (f"subscription {{ {T} }}", INVALID),
    "only a fragment": (f"fragment A on Query {{ {T} }}", INVALID),
    "a type": ("type A { a: Int }", INVALID),
    "a type with a query": (f"type A {{ a: Int }} {{ {T} }}", INVALID),
    "two operations": (f"query A {{ {T} }} query B {{ {T} }}", INVALID),
    "two operations of one name": (f"query A {{ {T} }} query A {{ {T} }}", INVALID),
    "two without a name": (f"{{ {T} }} {{ {T} }}", INVALID),
    "a deferred fragment": (f"{{ ... @defer {{ {T} }} }}", INVALID),
    "a streamed list": ("{ giftcard { results @stream { id } } }", INVALID),
    "introspection": ("{ __schema { types { name } } }", "PERMISSION_DENIED"),
    "introspection of a type": ('{ __type(name: "Code") { name } }', "PERMISSION_DENIED"),
    "introspection in a fragment": (
        "{ ... { ...A } } fragment A on Query { a: __schema { description } }",
        "PERMISSION_DENIED",
    ),
    "introspection in an operation that is not run": (
        f"query {NAME} {{ {T} }} query other {{ __schema {{ description }} }}",
        "PERMISSION_DENIED",
    ),
}

ADDRESSES: dict[str, tuple[str, int]] = {
    "nothing": ("", 400),
    "nothing of a query": ("query=", 400),
    "no JSON": ("query={a}&variables=x", 400),
    "a list": ("query={a}&variables=[1]", 400),
    "a number": ("query={a}&extensions=5", 400),
    "half a character": ('query={a}&variables={"a":"\\ud800"}', 400),
    "a persisted list": ('extensions={"persistedQuery":[1]}', 400),
    "deep variables": (f"query={{a}}&variables={'[' * 10_000}{']' * 10_000}", 400),
    "10,000 parameters": ("query={a}" + "&a=1" * 10_000, 400),
    "bytes": ("query=%ff%00", 400),
    "half a percent": ("query=%", 400),
    "only a name": ("operationName=a", 400),
    "a mutation": (f"query=mutation {{ {T} }}", 405),
    "a mutation by its name": (f"query={{a:{T}}} mutation b {{{T}}}&operationName=b", 405),
    "a subscription": (f"query=subscription {{ {T} }}", 400),
    "a bomb": (f"query={bomb(18, T)}", 400),
}
"""What stands in the address of a GET, and its status."""

METHODS = ("PUT", "OPTIONS", "DELETE", "PATCH")
TYPES = {
    "application/x-www-form-urlencoded": b"query={__typename}",
    "text/plain": q("{ __typename }"),
    "text/plain; a=application/json": q("{ __typename }"),
    "application/jsonx": q("{ __typename }"),
    "application/graphql": b"{ __typename }",
    "multipart/form-data; boundary=x": (
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"{a}"}\r\n--x--'
    ),
}
"""Content that is no JSON, by its type; `multipart` is how files would come."""
