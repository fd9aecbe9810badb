"""What `interlock init` writes: a small project that works without a key and shows an approval."""

CONFIG = """\
# What interlock runs in this folder. Check it with: interlock config check
# All keys, with what they mean: interlock config schema

tools:
  workspace: # comes with interlock: the files below one folder, every change measured and undoable
    builtin: workspace
    root: work
  # Any MCP server that speaks over stdio is a tool server; a .mcp.json in this folder is read as it is.
  # git:
  #   command: mcp-server-git
  #   contracts: # what you vouch for; a tool that nobody vouches for counts as destructive, so it asks
  #     git_log: {class: read}
  # Your own tools are Python files in tools/, each one an MCP server.

agents:
  hello: # a playbook needs no language model: playbooks/hello.yaml says which tools it calls
    model: playbook:hello
    tools: ["workspace.list", "workspace.write"]
    plan: # what it is expected to change; any other write asks a person
      - {tool: workspace.write, args: {path: hello.md}}
    verify: # a result that fails its check is no result
      - {tool: workspace.read, args: {path: hello.md}, expect: {contains: "# Hello"}}
  tidy: # its only call is destructive, so it waits for you
    model: playbook:tidy
    tools: ["workspace.delete"]
  # writer: # an agent with a language model; needs ANTHROPIC_API_KEY
  #   model: anthropic:claude-sonnet-4-5
  #   instructions: You keep the notes in this folder in order.
  #   tools: ["workspace.*"]
  #   limits: {cost_usd: 0.50, files: 5}

policy:
  # The defaults hold without a rule: reads are allowed; writes that can be taken back are allowed, other writes ask;
  # destructive calls always ask. Of all rules that match, the strictest wins: deny, then ask, then allow.
  rules: []
  # - id: never-move
  #   when: {tool: workspace.move}
  #   then: deny
  #   reason: names are used elsewhere

server:
  port: 7440 # on 127.0.0.1 only
  workers: 2 # processes that run agents
"""

HELLO = """\
version: 1
description: Look at the work folder and leave a note in it.
steps:
  - id: list
    call: workspace.list
    args: {path: "."}
    reason: See what is there.
  - id: write
    call: workspace.write
    args:
      path: hello.md
      content: |
        # Hello

        You asked: {{ request }}

        In this folder:
        {{ steps.list.structured.entries | pluck("path") | bullets }}
    reason: Leave a note that you can look at, and take back.
result: Wrote hello.md; `interlock undo` takes it back.
"""

TIDY = """\
version: 1
description: Delete a file that nobody needs; a person agrees first.
steps:
  - id: delete
    call: workspace.delete
    args: {paths: ["old.log"]}
    reason: It is old, and nobody reads it.
result: Deleted old.log.
"""

FILES: dict[str, str] = {
    "interlock.yaml": CONFIG,
    "playbooks/hello.yaml": HELLO,
    "playbooks/tidy.yaml": TIDY,
    "work/old.log": "2026-01-01 nothing happened\n",
}

NEXT = (
    "interlock config check",
    "interlock up",
    'interlock submit "Say hello" --agent hello --wait',
    'interlock submit "Tidy up" --agent tidy --wait',
)
