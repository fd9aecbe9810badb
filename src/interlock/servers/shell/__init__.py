"""The built-in MCP server `shell`: one command per call, confined, its effect on one folder measured and undoable.

A program of its own (`python -m interlock.servers.shell --root DIR`) that speaks MCP over stdio. Models see `run`; the
gate also uses the internal tools `preview`, `capture`, `content` and `restore`.

A command never touches the folder itself. It runs on a copy that is shown in the folder's place, without network;
what it changed there is measured and kept. A preview stops here. A call then brings the folder to exactly that state,
or refuses when the folder is not what the command saw; so a command that dies, runs out of time or does something
else than was previewed changes nothing. Where no such copy can be made (`--in-place`, a folder that is too large, no
bubblewrap), a command works on the folder itself: measured, but neither previewed nor undoable.

Where to look: `walls` (how a command is confined), `running` and `keeper` (its life and its end), `output` (what it
prints), `marks` and `shadow` (the copy, and what differs), `guards` (effects that are not let through), `held` (effects
that are kept), `staging` (a command on the copy), `in_place` (a command on the folder), `operations` (one call from
start to end), `tools` (definitions and their check), `server` (MCP).
"""
