"""A tool of the user's own: facts about this machine, read from /proc. An MCP server over stdio."""

import os
import platform
import shutil
from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("machine")


@server.tool()
def facts() -> str:
    """Kernel, processors, load, memory, disk and uptime of this machine, a line each."""
    lines = [f"kernel: {platform.system()} {platform.release()}", f"processors: {os.cpu_count()}"]
    if hasattr(os, "getloadavg"):
        lines.append("load: " + ", ".join(f"{load:.2f}" for load in os.getloadavg()))
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        memory = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free_mib = int(memory["MemAvailable"].split()[0]) // 1024
        total_mib = int(memory["MemTotal"].split()[0]) // 1024
        lines.append(f"memory: {free_mib} of {total_mib} MiB free")
    disk = shutil.disk_usage("/")
    lines.append(f"disk: {disk.free // 2**30} of {disk.total // 2**30} GiB free")
    uptime = Path("/proc/uptime")
    if uptime.exists():
        lines.append(f"up for: {float(uptime.read_text().split()[0]) / 3600:.1f} hours")
    return "\n".join(lines)


if __name__ == "__main__":
    server.run()
