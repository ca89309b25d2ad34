"""How schemathesis writes the bodies that it does not know: a text goes out as it is, anything else as JSON."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value, default=str)).encode(errors="surrogatepass")
