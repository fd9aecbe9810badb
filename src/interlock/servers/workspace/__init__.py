"""The built-in MCP server `workspace`: one folder, every change of it measured and undoable.

A program of its own (`python -m interlock.servers.workspace --root DIR`) that speaks MCP over stdio. Models see
`list`, `read`, `search`, `write`, `edit`, `move` and `delete`; the gate also uses the internal tools `preview`,
`capture`, `content` and `restore`.

Where to look: `paths` (what a path may be), `root` (how the disk is reached without ever leaving the root),
`entries` and `snapshot` (the state of files as data), `plan` (a call as a list of steps), `apply` (the steps, done),
`diff` and `effect` (what changed, measured), `restoring` (back to a captured state), `reading` and `search`,
`operations` (one call from start to end), `tools` and `arguments` (definitions and their check), `server` (MCP).
"""
