"""Every bound of the http server in one place. Sizes in bytes unless the name says otherwise."""

KIB = 1024
MIB = 1024 * KIB

URL_CHARACTERS = 4096
REQUEST_HEADERS = 64
REQUEST_HEADER_CHARACTERS = 8 * KIB
REQUEST_HEADERS_CHARACTERS = 32 * KIB
REQUEST_BODY_BYTES = 4 * MIB
KEY_CHARACTERS = 255

CALLS_AT_ONCE = 32
TIMEOUT_S = 30.0
LEAST_TIMEOUT_S = 0.1
MOST_TIMEOUT_S = 300.0
RESOLVE_S = 5.0
CONNECT_S = 10.0
CONNECT_ONE_S = 5.0
CLOSE_S = 2.0

ADDRESSES = 32  # a name with more is refused
ADDRESSES_TRIED = 4
REDIRECTS = 5

SHOWN_BYTES = 240 * KIB  # of text, in UTF-8; with the lines around it this stays within one recorded result
SECRET_CHARACTERS = 8 * KIB  # also how much more of a text is kept, so that a secret at the cut is still seen whole
READ_BYTES = 8 * MIB  # of a body that is not text, to measure and hash it
INFLATED_FREELY = MIB
INFLATION = 100  # times its own size may a body unpack to, beyond what is free
INLINE_BYTES = 64 * KIB  # of text or JSON in the structured result
BINARY_INLINE_BYTES = 48 * KIB
STRUCTURED_BYTES = 200 * KIB
JSON_DEPTH = 64

HEADERS_SHOWN = 64
HEADER_SHOWN_CHARACTERS = 2 * KIB
HEADERS_SHOWN_CHARACTERS = 16 * KIB
LINK_CHARACTERS = 500
