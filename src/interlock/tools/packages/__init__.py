"""Tool servers from package registries: installed once, pinned, and started without fetching anything.

`spec` (what a configuration asks for) with `npx` and `uvx` (the habits of `.mcp.json`), `packages` (find, install,
remove), `pypi` and `npm` (how one is built), `records` (what was resolved), `running` (bounded programs), `locks`,
`ensure` (for those who must not block).
"""
