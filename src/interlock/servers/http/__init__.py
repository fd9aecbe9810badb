"""The built-in MCP server `http`: requests to the hosts that an operator allows, and to nothing else.

A program of its own (`python -m interlock.servers.http --allow HOST`) that speaks MCP over stdio. Models see `get` and
`request`. A URL is read by one strict parser, its host is compared with the allow-list, its name is looked up once,
every address is checked, and the connection goes to a checked address; each redirect goes through all of it again.

Where to look: `target` (what a URL may be), `address` (where an address leads), `allow` (the list), `dialing` (names to
connections), `headers` and `credentials` (what goes along), `exchange` (one request), `redirects` and `fetch` (a whole
call), `body`, `media` and `page` (what came), `rendering` (the answer), `operations` (one call from start to end),
`tools` and `arguments` (definitions and their check), `server` (MCP).
"""
