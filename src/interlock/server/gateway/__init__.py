"""The endpoint `/mcp`: agents outside call the same tools under the same gate, over either generation of the protocol."""
