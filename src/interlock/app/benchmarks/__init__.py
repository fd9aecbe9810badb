"""Benchmarks of the product itself: ratios against named peers, measured in the same run.

`running` knows them by name, `report` is what each of them gives back. `tools` measures governed calls: its parts are
`stage` (a server to call, a project, places that are thrown away), `load` (calls over HTTP by a program of its own),
`governed` (calls through the gate in this process), `front` (calls through `interlock up`), `rivals` (other gateways),
`kills` (children that are killed), and `rounds`, which lets them take turns.
"""
