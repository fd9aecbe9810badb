"""What every built-in server is made of: its MCP side, its calls' notes and outcomes, its journal, its arguments."""
