"""One process per host owns the tool servers of a project; workers and the HTTP server reach it over a Unix socket.

So a worker that dies takes no tool server with it, and the outcome of what it had sent is still to be had.
"""
