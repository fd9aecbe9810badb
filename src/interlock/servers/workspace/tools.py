"""The tools as the server lists them, in the JSON of MCP. The schema that is published is the one that is checked."""

from collections.abc import Mapping
from typing import Any

from interlock.servers.shared.schemas import INTERNAL, object_schema
from interlock.servers.workspace.limits import (
    DELETE_PATHS,
    LIST_ENTRIES,
    MIB,
    PATH_BYTES,
    READ_LINES,
    SEARCH_PATTERN_CHARACTERS,
    SEARCH_RESULTS,
    SNAPSHOT_CONTENT_BYTES,
    SNAPSHOT_ENTRIES,
    SNAPSHOT_PATHS,
    WRITE_BYTES,
)


def _path(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": PATH_BYTES, "description": description}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "default": False, "description": description}


def _hints(*, read_only: bool = False, destructive: bool = False, idempotent: bool = False) -> dict[str, Any]:
    return {
        "readOnlyHint": read_only,
        "destructiveHint": destructive,
        "idempotentHint": idempotent or read_only,
        "openWorldHint": False,
    }


GLOB = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1000,
    "description": "Only paths that fit, as in '*.py' (by name) or 'src/**/*.py' (by path below the folder).",
}
SHA256 = {"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"}
NUMBER = {"type": ["integer", "null"], "minimum": 0}
ENTRY = {
    "type": "object",
    "properties": {
        "path": _path("Path below the workspace folder."),
        "kind": {"enum": ["file", "dir", "symlink", "missing"]},
        "mode": {**NUMBER, "maximum": 0o7777},
        "mtime_ns": {"type": ["string", "null"], "pattern": "^-?[0-9]{1,19}$"},
        "size": NUMBER,
        "sha256": SHA256,
        "uid": NUMBER,
        "gid": NUMBER,
        "target": {"type": "string", "minLength": 1, "maxLength": PATH_BYTES},
        "content": {"type": "string", "description": "The file's bytes in base64."},
    },
    "required": ["path", "kind"],
    "additionalProperties": False,
}
PATHS = {
    "type": "array",
    "items": _path("Path below the workspace folder."),
    "minItems": 1,
    "maxItems": SNAPSHOT_PATHS,
    "description": "Paths; each stands for itself and everything below it.",
}


def _reading() -> list[dict[str, Any]]:
    return [
        {
            "name": "list",
            "title": "List files",
            "description": f"List a folder of the workspace, at most {LIST_ENTRIES:,} entries.",
            "inputSchema": object_schema(
                {
                    "path": {**_path("Folder, relative to the workspace folder."), "default": "."},
                    "recursive": _flag("Also list what is inside its folders."),
                    "glob": GLOB,
                },
                [],
            ),
            "annotations": _hints(read_only=True),
        },
        {
            "name": "read",
            "title": "Read a file",
            "description": "Read a UTF-8 text file, at most 1 MiB at a time; says how to continue when there is more.",
            "inputSchema": object_schema(
                {
                    "path": _path("File, relative to the workspace folder."),
                    "offset_line": {
                        "type": "integer",
                        "minimum": 1,
                        "default": 1,
                        "description": "The first line to read, counted from 1.",
                    },
                    "limit_lines": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": READ_LINES,
                        "default": READ_LINES,
                        "description": "How many lines to read.",
                    },
                },
                ["path"],
            ),
            "annotations": _hints(read_only=True),
        },
        _search(),
    ]


def _search() -> dict[str, Any]:
    return {
        "name": "search",
        "title": "Search in files",
        "description": "Find lines in text files. The pattern is plain text unless 'regex' is set.",
        "inputSchema": object_schema(
            {
                "pattern": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": SEARCH_PATTERN_CHARACTERS,
                    "description": "The text to find, within a line.",
                },
                "path": {**_path("File or folder to search, with all inside."), "default": "."},
                "glob": GLOB,
                "regex": _flag("Take the pattern as a Python regular expression."),
                "ignore_case": _flag("Treat capital and small letters alike."),
                "max_results": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": SEARCH_RESULTS,
                    "default": 100,
                    "description": "Stop after this many matching lines.",
                },
            },
            ["pattern"],
        ),
        "annotations": _hints(read_only=True),
    }


def _changing() -> list[dict[str, Any]]:
    text = {"type": "string", "maxLength": WRITE_BYTES}
    return [
        {
            "name": "write",
            "title": "Write a file",
            "description": f"Write a whole text file, at most {WRITE_BYTES // MIB} MiB. Missing folders are made.",
            "inputSchema": object_schema(
                {
                    "path": _path("File, relative to the workspace folder."),
                    "content": {**text, "description": "All of the file's text."},
                    "mode": {
                        "enum": ["create", "overwrite"],
                        "default": "create",
                        "description": "'create' refuses to replace other content; 'overwrite' replaces it.",
                    },
                },
                ["path", "content"],
            ),
            "annotations": _hints(destructive=True, idempotent=True),
        },
        {
            "name": "edit",
            "title": "Edit a file",
            "description": "Replace a piece of text in a text file. It must be there exactly once, unless 'all' is set.",
            "inputSchema": object_schema(
                {
                    "path": _path("File, relative to the workspace folder."),
                    "old": {**text, "minLength": 1, "description": "The text to replace, copied exactly."},
                    "new": {**text, "description": "The text to put there."},
                    "all": _flag("Replace every occurrence."),
                },
                ["path", "old", "new"],
            ),
            "annotations": _hints(destructive=True),
        },
        {
            "name": "move",
            "title": "Move or rename",
            "description": "Move or rename a file, folder or link. Never overwrites. Missing folders are made.",
            "inputSchema": object_schema(
                {
                    "source": _path("What to move, relative to the workspace folder."),
                    "target": _path("Its whole new path, with the new name."),
                },
                ["source", "target"],
            ),
            "annotations": _hints(),
        },
        _delete(),
    ]


def _delete() -> dict[str, Any]:
    return {
        "name": "delete",
        "title": "Delete files",
        "description": "Delete files, links or folders: all that are named, or none when one is refused.",
        "inputSchema": object_schema(
            {
                "paths": {
                    "type": "array",
                    "items": _path("File or folder, relative to the workspace folder."),
                    "minItems": 1,
                    "maxItems": DELETE_PATHS,
                    "description": "What to delete.",
                },
                "recursive": _flag("Also delete folders that are not empty, with everything inside."),
            },
            ["paths"],
        ),
        "annotations": _hints(destructive=True),
    }


def _internal() -> list[dict[str, Any]]:
    visible = [tool["name"] for tool in (*_reading(), *_changing())]
    return [
        {
            "name": "preview",
            "title": "Preview a call",
            "description": "Internal: what a call would change, without changing anything.",
            "inputSchema": object_schema(
                {
                    "tool": {"enum": visible, "description": "The tool that would be called."},
                    "args": {"type": "object", "description": "Its arguments."},
                },
                ["tool", "args"],
            ),
            "annotations": _hints(read_only=True),
            "_meta": {INTERNAL: True},
        },
        {
            "name": "capture",
            "title": "Capture files",
            "description": "Internal: the exact state of paths, with content if asked for.",
            "inputSchema": object_schema(
                {
                    "paths": PATHS,
                    "content": _flag("Also return the files' bytes."),
                    "max_inline_bytes": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": SNAPSHOT_CONTENT_BYTES,
                        "description": "Leave out bytes beyond this total; 'pending' names the files to fetch.",
                    },
                },
                ["paths"],
            ),
            "annotations": _hints(read_only=True),
            "_meta": {INTERNAL: True},
        },
        {
            "name": "content",
            "title": "Fetch a file's bytes",
            "description": "Internal: up to 1 MiB of a file's bytes; says where to continue.",
            "inputSchema": object_schema(
                {
                    "path": _path("File below the workspace folder."),
                    "offset_bytes": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 2**53 - 1,
                        "default": 0,
                        "description": "The first byte to return, counted from 0.",
                    },
                },
                ["path"],
            ),
            "annotations": _hints(read_only=True),
            "_meta": {INTERNAL: True},
        },
        _restore(),
    ]


def _restore() -> dict[str, Any]:
    return {
        "name": "restore",
        "title": "Restore files",
        "description": "Internal: make paths exactly as they were captured, unless others changed them since.",
        "inputSchema": object_schema(
            {
                "paths": PATHS,
                "entries": {
                    "type": "array",
                    "items": ENTRY,
                    "minItems": 1,
                    "maxItems": SNAPSHOT_ENTRIES,
                    "description": "The entries that 'capture' returned for these paths, with content.",
                },
                "expect_state_sha256": {**SHA256, "description": "Refuse when the present state has another hash."},
            },
            ["paths", "entries"],
        ),
        "annotations": _hints(destructive=True, idempotent=True),
        "_meta": {INTERNAL: True},
    }


TOOLS: Mapping[str, dict[str, Any]] = {tool["name"]: tool for tool in (*_reading(), *_changing(), *_internal())}
